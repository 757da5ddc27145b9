// Genes × donors of one type: the level in each donor, the donors by age.

import { levelOf } from "./ageing.js";
import { figure, inks, shape, short } from "./charts.js";
import { css, diverging, neutral, ramp } from "./palette.js";
import { chart, saveTable, sheetTable } from "./sheet.js";
import { element, measure, percent, several, visible } from "./text.js";

/** @typedef {import("./ageing.js").Ageing} Ageing */
/** @typedef {import("./ageing.js").Group} Group */
/** @typedef {import("./genes.js").Gene} Gene */
/** @typedef {{donor: string, age: number, cells: number, gene: Gene, level: number, z: number, share: number}} CellOf a gene in a donor */

const FEWEST = 3; // donors of a z-score

/** Types that a protocol has with cells enough, each with how many donors; those of most donors first. @param {Ageing} ageing @param {string} protocol */
export function typesOf(ageing, protocol) {
  const own = ageing.groups.filter((group) => group.protocol === protocol && group.cells >= ageing.fewest);
  return [...Map.groupBy(own, (group) => group.type)].map(([type, groups]) => ({
    type, donors: new Set(groups.map((group) => group.donor)).size, cells: groups.reduce((sum, group) => sum + group.cells, 0),
  })).sort((a, b) => b.donors - a.donors || b.cells - a.cells);
}

/**
 * The level of genes in each donor of a type and protocol: log2 of 1 + counts per million, and its z-score over these donors.
 * @param {Ageing} ageing
 * @param {Gene[]} genes
 * @param {string} protocol
 * @param {string} type
 * @returns {Promise<CellOf[][]>} by gene, then by donor: the youngest first, those without an age last
 */
export async function heatOf(ageing, genes, protocol, type) {
  const cards = await Promise.all(genes.map((gene) => ageing.gene(gene.token)));
  const years = (/** @type {Group} */ group) => (Number.isNaN(group.age) ? Infinity : group.age);
  const groups = ageing.groups.filter((group) => group.protocol === protocol && group.type === type && group.cells >= ageing.fewest)
    .sort((a, b) => (years(a) === years(b) ? (a.donor < b.donor ? -1 : 1) : years(a) - years(b)));
  return genes.map((gene, i) => {
    const known = cards[i].dots.length > 0; // else nothing is known of the gene
    const levels = groups.map(({ row, counts }) => (known ? levelOf(cards[i].dots[row].own, counts) : NaN));
    const scores = standardised(levels);
    return groups.map(({ donor, age, cells, row }, k) => ({
      donor, age, cells, gene, level: levels[k], z: scores[k], share: known ? cards[i].dots[row].detected / cells : NaN,
    }));
  });
}

/** Values less their mean, by their standard deviation (n − 1); NaN of fewer than three, or where all are equal. @param {number[]} values */
export function standardised(values) {
  const n = values.length;
  if (n < FEWEST || values.every((value) => value === values[0])) return values.map(() => NaN);
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1));
  return values.map((value) => (value - mean) / deviation);
}

/**
 * The part of the page that shows them.
 * @param {Ageing} ageing
 * @param {Gene[]} genes
 * @param {{protocol: string, type: string, scaled: boolean, dark: boolean}} asked
 * @param {{change: (change: Partial<import("./address.js").State>) => void, about: Record<string, unknown>}} act
 */
export async function heatMapPart(ageing, genes, { protocol, type, scaled, dark }, act) {
  const rows = await heatOf(ageing, genes, protocol, type);
  const box = element("input", { id: "heat-scaled", type: "checkbox", checked: scaled, onchange: () => act.change({ scaled: box.checked }) });
  const donors = rows[0];
  const level = `log2 of 1 + counts per million of the donor's cells together${scaled ? `, less the gene's mean over these donors and divided by their standard deviation (n − 1; none of fewer than ${FEWEST} donors, or where all are equal)` : ""}`;
  const shown = (/** @type {CellOf} */ cell) => (scaled ? cell.z : cell.level);
  const file = `heatmap_${[type, ...(protocol === "all" ? [] : [protocol])].join("_").replace(/[^\w.-]+/g, "_")}`;
  return [
    element("label", { class: "inline" }, box, "z-scores of each gene"),
    element("p", { class: "hint" }, `A column a donor of ${visible(type)}${protocol === "all" ? "" : `, protocol ${visible(protocol)},`} with at least ${ageing.fewest} cells of it, the youngest first, with age in years; colour is ${level}. Describes, and tests nothing.`),
    chart((width) => draw(rows, shown, { type, scaled }, width, dark), file),
    element("details", {}, element("summary", {}, "The same as a table"),
      sheetTable("Genes by donor", [{ head: "gene" }, ...donors.map((one) => ({ head: visible(donorName(one)), number: true }))],
        rows.map((row) => [visible(row[0].gene.symbol), ...row.map((cell) => (Number.isNaN(shown(cell)) ? "–" : shown(cell).toFixed(2)))]))),
    saveTable(file, { ...act.about, protocol, cell_type: type }, ["gene", "gene_id", "donor", "age_years", "n_cells", "log2_cpm_plus_1", "z_score", "share_of_cells"],
      () => rows.flat().map((cell) => [cell.gene.symbol, cell.gene.id, cell.donor, cell.age, cell.cells, cell.level, cell.z, cell.share])),
  ];
}

/** @param {CellOf} cell */
function donorName({ donor, age }) {
  return Number.isNaN(age) ? donor : `${donor}, ${measure(age)}`;
}

/** @param {CellOf} cell */
function titleOf(cell) {
  const found = Number.isNaN(cell.level) ? "not known" : `${measure(cell.level)}, z ${measure(cell.z)}, ${percent(cell.share, 1)} of ${several(cell.cells, "cell")}`;
  return `${cell.gene.symbol} in ${donorName(cell)}: ${found}`;
}

/**
 * @param {CellOf[][]} rows
 * @param {(cell: CellOf) => number} shown
 * @param {{type: string, scaled: boolean}} told
 * @param {number} width
 * @param {boolean} dark
 */
function draw(rows, shown, { type, scaled }, width, dark) {
  const { soft } = inks();
  const donors = rows[0];
  const values = rows.flat().map(shown).filter(Number.isFinite);
  const most = values.reduce((found, value) => Math.max(found, Math.abs(value)), 0) || 1;
  const [low, high] = scaled ? [-most, most] : values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const along = (/** @type {number} */ value) => (high > low ? (value - low) / (high - low) : 0.5);
  const colour = (/** @type {number} */ t) => css(scaled ? diverging(2 * t - 1, dark) : ramp(t, dark));
  const [left, top] = [Math.min(120, width * 0.32), 96];
  const step = Math.max(13, Math.min(34, (width - left - 52) / donors.length));
  const end = top + 18 * rows.length + 6;
  return figure(Math.max(width, left + step * donors.length + 52), end + 40, `Heat map of ${several(rows.length, "gene")} in ${several(donors.length, "donor")} of ${type}; the numbers are in the table below`,
    ...donors.map((one, k) => shape("text", { transform: `translate(${(left + step * (k + 0.5) + 4).toFixed(1)},${top - 6}) rotate(-60)` }, short(visible(donorName(one)), 17))),
    ...rows.flatMap((row, i) => [
      shape("text", { x: left - 8, y: top + 18 * i + 13, "text-anchor": "end" }, short(visible(row[0].gene.symbol), left / 7)),
      ...row.map((cell, k) => shape("rect", {
        class: "tile", x: left + step * k, y: top + 18 * i, width: step - 1, height: 17, fill: Number.isFinite(shown(cell)) ? colour(along(shown(cell))) : "none", stroke: Number.isFinite(shown(cell)) ? null : css(neutral(dark)),
      }, shape("title", {}, visible(titleOf(cell))))),
    ]),
    ...[0, 0.25, 0.5, 0.75, 1].map((t, i) => shape("rect", { x: 8 + 26 * i, y: end + 8, width: 26, height: 10, fill: colour(t) })),
    shape("text", { x: 8, y: end + 32, fill: soft }, measure(low)), shape("text", { x: 138, y: end + 32, "text-anchor": "end", fill: soft }, measure(high)),
    shape("text", { x: 146, y: end + 17, fill: soft }, scaled ? "z-score" : "log2(CPM + 1)"));
}
