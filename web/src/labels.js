// Names on the map: each where its cells lie densest, the larger first, none on top of another.

import { MISSING } from "./dataset.js";

const SIDE = 48; // bins a side of the map
const MOST = 80;

/** @typedef {{text: string, x: number, y: number, cells: number}} Anchor */

/**
 * Where the cells of each label lie densest.
 * @param {import("./dataset.js").Labels} column
 * @param {Float32Array} positions
 * @param {Uint8Array} shades
 * @param {number} cells
 * @param {{x: number, y: number, width: number, height: number}} extent
 * @returns {Anchor[]} the largest label first
 */
export function anchorsOf(column, positions, shades, cells, extent) {
  const step = Math.max(1, Math.floor(cells / 100_000)); // a sample places a name as well
  const counts = new Uint32Array(column.levels.length);
  const there = (/** @type {number} */ i) => column.codes[i] !== MISSING && shades[i] !== 0 && !Number.isNaN(positions[2 * i] + positions[2 * i + 1]);
  for (let i = 0; i < cells; i += step) if (there(i)) counts[column.codes[i]] += 1;
  const named = Array.from(counts, (_, code) => code).filter((code) => counts[code]).sort((a, b) => counts[b] - counts[a]).slice(0, MOST);
  const slots = new Int16Array(column.levels.length).fill(-1);
  named.forEach((code, slot) => { slots[code] = slot; });
  const [sx, sy] = [SIDE / (extent.width || 1), SIDE / (extent.height || 1)];
  const within = new Uint32Array(named.length * 64 * 64); // cells of a label in a bin
  const places = new Int32Array(Math.ceil(cells / step)).fill(-1);
  for (let i = 0, k = 0; i < cells; i += step, k++) {
    if (!there(i) || slots[column.codes[i]] < 0) continue;
    const bin = Math.floor((positions[2 * i] - extent.x) * sx) + 64 * Math.floor((positions[2 * i + 1] - extent.y) * sy);
    places[k] = slots[column.codes[i]] * 64 * 64 + bin;
    within[places[k]] += 1;
  }
  const densest = named.map((_, slot) => {
    const own = within.subarray(slot * 64 * 64, (slot + 1) * 64 * 64);
    return slot * 64 * 64 + own.reduce((best, n, bin) => (n > own[best] ? bin : best), 0);
  });
  const sums = new Float64Array(2 * named.length);
  for (let i = 0, k = 0; i < cells; i += step, k++) {
    const slot = places[k] >> 12;
    if (slot < 0 || places[k] !== densest[slot]) continue;
    sums[2 * slot] += positions[2 * i];
    sums[2 * slot + 1] += positions[2 * i + 1];
  }
  return named.map((code, slot) => ({
    text: column.levels[code], x: sums[2 * slot] / within[densest[slot]], y: sums[2 * slot + 1] / within[densest[slot]], cells: counts[code] * step,
  }));
}

/**
 * Choose the names that fit.
 * @param {{x: number, y: number, width: number, height: number}[]} boxes centre and size, the most important first
 * @param {number} width
 * @param {number} height
 * @returns {boolean[]}
 */
export function fitting(boxes, width, height) {
  /** @type {typeof boxes} */
  const placed = [];
  return boxes.map((box) => {
    const within = box.x - box.width / 2 >= 0 && box.x + box.width / 2 <= width && box.y - box.height / 2 >= 0 && box.y + box.height / 2 <= height;
    const free = within && placed.every((other) =>
      2 * Math.abs(box.x - other.x) >= box.width + other.width || 2 * Math.abs(box.y - other.y) >= box.height + other.height);
    if (free) placed.push(box);
    return free;
  });
}
