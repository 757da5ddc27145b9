// From a choice of colour to what the map draws and the legend says.

import { MISSING } from "./dataset.js";
import { css, labelColours, neutral, oklch, pale, ramp, subtypeColours } from "./palette.js";
import { LUT_ROWS } from "./renderer.js";

/** @typedef {{obs: string} | {gene: string} | {genes: string[]}} Colour */
/**
 * Values of all cells under a choice of colour.
 * @typedef {{kind: "labels", title: string, unit: string, column: import("./dataset.js").Labels, coarser: import("./dataset.js").Labels | null}
 *   | {kind: "numbers", title: string, unit: string, values: Float32Array | Float64Array, sparse: boolean, genes?: string[]}} Shown genes: those of a set that take part
 */
/** @typedef {{label: string, code: number, colour: string}} LegendEntry */
/**
 * @typedef {object} Painted
 * @property {Uint16Array} bins
 * @property {Uint8Array} colours RGBA by colour number
 * @property {boolean} rising
 * @property {boolean} base
 * @property {LegendEntry[]} entries of labels, in the order of the legend
 * @property {{low: number, high: number, clipped: boolean, stops: string[], zero: string | null, unmeasured: {cells: number, colour: string} | null} | null} scale of numbers
 */

const BINS = 255; // of numbers; bin 0 is no value, or none expressed
const UNMEASURED = 1; // of a gene: drawn over the ground of cells without counts, and below all that have some
const OTHER = 256 * LUT_ROWS - 1; // of cells without a label

const NESTED = 0.9; // share of a subtype's cells within one type

/**
 * Colours of labels by their codes. Where they lie within coarser types, a subtype has the hue of its type.
 * @param {import("./dataset.js").Labels} column
 * @param {import("./dataset.js").Labels | null} coarser
 * @param {number[]} order codes as the legend lists them
 * @param {number} cells
 * @param {boolean} dark
 * @returns {Map<number, import("./palette.js").RGB>}
 */
function paletteOf(column, coarser, order, cells, dark) {
  const types = coarser ? typesOf(column, coarser, cells) : null;
  if (!coarser || !types) return new Map(labelColours(order.length, dark).map((lch, i) => [order[i], oklch(...lch)]));
  const above = legendOrder(coarser, countsOf(coarser, cells));
  const colours = labelColours(above.length, dark);
  return new Map(above.flatMap((type, i) => {
    const own = order.filter((code) => types[code] === type);
    return subtypeColours(colours[i], own.length, dark).map((lch, k) => /** @type {[number, import("./palette.js").RGB]} */ ([own[k], oklch(...lch)]));
  }));
}

/**
 * The type that each subtype lies in; null if some lie in several.
 * @param {import("./dataset.js").Labels} column
 * @param {import("./dataset.js").Labels} coarser
 * @param {number} cells
 */
function typesOf(column, coarser, cells) {
  const width = coarser.levels.length;
  const together = new Uint32Array(column.levels.length * width);
  for (let i = 0; i < cells; i++) {
    if (column.codes[i] !== MISSING && coarser.codes[i] !== MISSING) together[column.codes[i] * width + coarser.codes[i]] += 1;
  }
  const types = column.levels.map((_, code) => {
    const own = together.subarray(code * width, (code + 1) * width);
    const most = Math.max(...own);
    return most >= NESTED * own.reduce((sum, n) => sum + n, 0) ? own.indexOf(most) : -1;
  });
  return types.includes(-1) ? null : types;
}

/**
 * @param {import("./dataset.js").Labels} column
 * @param {number} cells
 */
function countsOf(column, cells) {
  const counts = new Uint32Array(column.levels.length);
  for (let i = 0; i < cells; i++) if (column.codes[i] !== MISSING) counts[column.codes[i]] += 1;
  return counts;
}

/**
 * @param {Shown} shown
 * @param {number} cells how many have come
 * @param {boolean} dark
 * @returns {Painted}
 */
export function paint(shown, cells, dark) {
  return shown.kind === "labels" ? paintLabels(shown, cells, dark) : paintNumbers(shown, cells, dark);
}

/**
 * @param {{column: import("./dataset.js").Labels, coarser: import("./dataset.js").Labels | null}} shown
 * @param {number} cells
 * @param {boolean} dark
 * @returns {Painted}
 */
function paintLabels({ column, coarser }, cells, dark) {
  const bins = new Uint16Array(column.codes.length);
  for (let i = 0; i < cells; i++) bins[i] = column.codes[i] === MISSING ? OTHER : column.codes[i];
  const order = legendOrder(column, countsOf(column, cells));
  const palette = paletteOf(column, coarser, order, cells, dark);
  const colours = table(neutral(dark));
  const entries = order.map((code) => {
    const rgb = palette.get(code) ?? neutral(dark);
    colours.set(rgb, 4 * code);
    return { label: column.levels[code], code, colour: css(rgb) };
  });
  return { bins, colours, rising: false, base: false, entries, scale: null };
}

/**
 * Labels that have an order in it, others by the number of their cells.
 * @param {import("./dataset.js").Labels} column
 * @param {Uint32Array} counts
 */
export function legendOrder(column, counts) {
  const codes = column.levels.map((_, code) => code);
  if (column.info.ordered) return codes;
  const numbered = column.levels.length > 0 && column.levels.every((level) => /^\s*\d/.test(level));
  const byName = (/** @type {number} */ a, /** @type {number} */ b) => column.levels[a].localeCompare(column.levels[b], "en", { numeric: true });
  return codes.sort(numbered ? byName : (a, b) => counts[b] - counts[a] || byName(a, b));
}

/**
 * @param {{values: Float32Array | Float64Array, sparse: boolean}} shown
 * @param {number} cells
 * @param {boolean} dark
 * @returns {Painted}
 */
function paintNumbers({ values, sparse }, cells, dark) {
  const { low, high, clipped } = bounds(values, cells, sparse);
  const bins = new Uint16Array(values.length);
  const first = sparse ? UNMEASURED + 1 : 1;
  const steps = BINS - first;
  const factor = high > low ? steps / (high - low) : 0;
  let missing = 0;
  for (let i = 0; i < cells; i++) {
    const value = values[i];
    if (Number.isNaN(value)) missing += 1;
    if (Number.isNaN(value) && sparse) bins[i] = UNMEASURED;
    if (Number.isNaN(value) || (sparse && value === 0)) continue;
    bins[i] = first + Math.round(Math.min(steps, Math.max(0, (value - low) * factor)));
  }
  const colours = table(neutral(dark));
  if (sparse) colours.set(pale(dark), 4 * UNMEASURED);
  for (let bin = first; bin <= BINS; bin++) colours.set(ramp((bin - first) / steps, dark), 4 * bin);
  const stops = [0, 0.25, 0.5, 0.75, 1].map((t) => css(ramp(t, dark)));
  return { bins, colours, rising: true, base: sparse, entries: [], scale: { low, high, clipped, stops, zero: sparse ? css(neutral(dark)) : null, unmeasured: sparse && missing ? { cells: missing, colour: css(pale(dark)) } : null } };
}

/**
 * The range that colours span: of expression from zero to the 99th percentile of the cells that express, else 1st to 99th.
 * @param {Float32Array | Float64Array} values
 * @param {number} cells
 * @param {boolean} sparse
 */
function bounds(values, cells, sparse) {
  /** @type {number[]} */
  const sample = [];
  const step = Math.max(1, Math.floor(cells / 50_000));
  let top = -Infinity;
  for (let i = 0; i < cells; i++) {
    const value = values[i];
    if (Number.isNaN(value) || (sparse && value === 0)) continue;
    if (value > top) top = value;
    if (i % step === 0) sample.push(value);
  }
  if (!Number.isFinite(top)) return { low: 0, high: 1, clipped: false };
  if (sample.length < 1000) return { low: sparse && Math.min(...sample, top) >= 0 ? 0 : Math.min(...sample, top), high: top, clipped: false };
  sample.sort((a, b) => a - b);
  const low = sparse && sample[0] >= 0 ? 0 : sample[Math.floor(0.01 * sample.length)];
  const high = sample[Math.floor(0.99 * sample.length)];
  return high > low ? { low, high, clipped: high < top } : { low, high: top, clipped: false };
}

/** @param {import("./palette.js").RGB} fill */
function table(fill) {
  const colours = new Uint8Array(256 * LUT_ROWS * 4);
  for (let i = 0; i < colours.length; i += 4) {
    colours.set(fill, i);
    colours[i + 3] = 255;
  }
  return colours;
}
