// Which cells: conditions on columns, as `--where` of the command line has them, and polygons on the map.

import { MISSING } from "./dataset.js";

/** @typedef {{column: string, is?: string[], not?: string[], from?: number, to?: number}} Condition */
/** @typedef {[number, number][]} Polygon in coordinates of the projection */

/**
 * Mark the cells of which all conditions hold.
 * @param {import("./dataset.js").Dataset} dataset
 * @param {Condition[]} conditions
 * @returns {Promise<Uint8Array>} 1 where they hold
 */
export async function cellsWhere(dataset, conditions) {
  const columns = await Promise.all(conditions.map((condition) => dataset.read(dataset.column(condition.column))));
  const holds = new Uint8Array(dataset.cells).fill(1);
  conditions.forEach((condition, i) => {
    const column = columns[i];
    if (column.kind === "labels") {
      const wanted = new Set(condition.is ?? condition.not ?? []);
      const inside = column.levels.map((level) => wanted.has(level) === (condition.is !== undefined));
      const missing = condition.is === undefined;
      for (let cell = 0; cell < holds.length; cell++) {
        const code = column.codes[cell];
        if (!(code === MISSING ? missing : inside[code])) holds[cell] = 0;
      }
    } else {
      const { from = -Infinity, to = Infinity } = condition;
      for (let cell = 0; cell < holds.length; cell++) {
        if (!(column.values[cell] >= from && column.values[cell] <= to)) holds[cell] = 0;
      }
    }
  });
  return holds;
}

/**
 * Mark the cells that lie within a polygon (even-odd rule).
 * @param {Float32Array} positions two numbers a cell
 * @param {Polygon} polygon
 * @returns {Uint8Array}
 */
export function cellsWithin(positions, polygon) {
  const n = positions.length / 2;
  const inside = new Uint8Array(n);
  const xs = polygon.map(([x]) => x);
  const ys = polygon.map(([, y]) => y);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  for (let cell = 0; cell < n; cell++) {
    const x = positions[2 * cell];
    const y = positions[2 * cell + 1];
    if (!(x >= left && x <= right && y >= low && y <= high)) continue;
    let within = false;
    for (let i = 0, j = xs.length - 1; i < xs.length; j = i++) {
      if ((ys[i] > y) !== (ys[j] > y) && x < (xs[j] - xs[i]) * (y - ys[i]) / (ys[j] - ys[i]) + xs[i]) within = !within;
    }
    if (within) inside[cell] = 1;
  }
  return inside;
}

/**
 * How many cells, of how many donors, and of each type.
 * @param {Uint8Array} mask
 * @param {import("./dataset.js").Labels | null} donors
 * @param {import("./dataset.js").Labels | null} types
 */
export function tally(mask, donors, types) {
  let cells = 0;
  const byDonor = new Uint32Array(donors?.levels.length ?? 0);
  const byType = new Uint32Array(types?.levels.length ?? 0);
  for (let cell = 0; cell < mask.length; cell++) {
    if (!mask[cell]) continue;
    cells += 1;
    if (donors && donors.codes[cell] !== MISSING) byDonor[donors.codes[cell]] += 1;
    if (types && types.codes[cell] !== MISSING) byType[types.codes[cell]] += 1;
  }
  const named = (/** @type {Uint32Array} */ counts, /** @type {string[]} */ levels) =>
    Object.fromEntries(Array.from(counts, (n, code) => /** @type {[string, number]} */ ([levels[code], n])).filter(([, n]) => n).sort((a, b) => b[1] - a[1]));
  return {
    cells,
    donors: donors ? byDonor.reduce((n, k) => n + (k > 0 ? 1 : 0), 0) : null,
    types: named(byType, types?.levels ?? []),
    byDonor: named(byDonor, donors?.levels ?? []),
  };
}
