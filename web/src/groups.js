// The table beside the map: cells by type, donor or another column, with what the map is coloured by.

import { legendOrder } from "./colouring.js";
import { MISSING } from "./dataset.js";
import { count, percent } from "./text.js";

/** @typedef {{label: string, cells: number, donors: number | null, mean: number | null, share: number | null, texts: string[]}} GroupRow */

/**
 * Of the cells that are selected, or shown where none are: a row a label.
 * @param {import("./explorer.js").Explorer} explorer
 * @param {import("./colouring.js").Shown | undefined} shown
 * @returns {Promise<{group: string, heads: string[], rows: GroupRow[]}>}
 */
export async function groupRows(explorer, shown) {
  const { dataset, selected, filter } = explorer;
  const chosen = explorer.group ?? (shown?.kind === "labels" ? shown.column.info : dataset.types[0] ?? null);
  const labels = await labelsOf(explorer, chosen);
  if (!labels) return { group: "", heads: [], rows: [] };
  const donors = dataset.donor && dataset.donor !== chosen ? await labelsOf(explorer, dataset.donor) : null;
  const numbers = shown?.kind === "numbers" ? shown : null;
  const n = labels.levels.length;
  const [cells, valued, above] = [new Uint32Array(n), new Uint32Array(n), new Uint32Array(n)];
  const sums = new Float64Array(n);
  const width = donors?.levels.length ?? 0;
  const seen = new Uint8Array(n * width); // type × donor
  for (let cell = 0; cell < dataset.cells; cell++) {
    const code = labels.codes[cell];
    if (code === MISSING || (selected && !selected[cell]) || (filter && !filter[cell])) continue;
    cells[code] += 1;
    if (donors && donors.codes[cell] !== MISSING) seen[code * width + donors.codes[cell]] = 1;
    const value = numbers ? numbers.values[cell] : NaN;
    if (Number.isNaN(value)) continue;
    valued[code] += 1;
    sums[code] += value;
    if (value > 0) above[code] += 1;
  }
  const total = cells.reduce((sum, k) => sum + k, 0);
  const rows = legendOrder(labels, cells).filter((code) => cells[code]).map((code) => {
    const row = {
      label: labels.levels[code], cells: cells[code], donors: donors ? seen.subarray(code * width, (code + 1) * width).reduce((sum, k) => sum + k, 0) : null,
      mean: numbers && valued[code] ? sums[code] / valued[code] : null, share: numbers?.sparse && valued[code] ? above[code] / valued[code] : null,
    };
    const texts = [count(row.cells)];
    if (!numbers) texts.push(percent(row.cells, total));
    if (row.donors !== null) texts.push(count(row.donors));
    if (numbers?.sparse) texts.push(row.share === null ? "–" : percent(above[code], valued[code])); // of the cells in which it was measured
    if (numbers) texts.push(row.mean === null ? "–" : String(Number(row.mean.toPrecision(3))));
    return { ...row, texts };
  });
  const heads = [labels.info.name, "cells", ...(numbers ? [] : ["share"]), ...(donors ? ["donors"] : []), ...(numbers?.sparse ? ["with counts"] : []), ...(numbers ? ["mean"] : [])];
  return { group: labels.info.name, heads, rows };
}

/** @param {import("./explorer.js").Explorer} explorer @param {import("./dataset.js").ColumnInfo | null} info */
async function labelsOf(explorer, info) {
  const column = info ? await explorer.dataset.read(info) : null;
  return column?.kind === "labels" ? column : null;
}
