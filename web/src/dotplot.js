// Genes × cell types as dots: how much, and in how many cells, each the mean over donors.

import { levelOf } from "./ageing.js";
import { figure, inks, scale, shape, short } from "./charts.js";
import { heatMapPart, typesOf } from "./heatmap.js";
import { markerPart } from "./markerlist.js";
import { css, ramp } from "./palette.js";
import { chart, saveTable, sheetTable } from "./sheet.js";
import { element, measure, percent, sentence, several, visible } from "./text.js";

/** @typedef {import("./ageing.js").Ageing} Ageing */
/** @typedef {import("./genes.js").Gene} Gene */
/** @typedef {{type: string, age: string, gene: Gene, donors: number, mean: number, share: number}} DotOf */

const MOST = 60; // genes side by side
const SIDES = /** @type {const} */ (["young", "old"]);

/**
 * Means over donors of a protocol with cells enough: log2 of 1 + counts per million, and the share of cells with counts.
 * @param {Ageing} ageing
 * @param {Gene[]} genes
 * @param {string} protocol
 * @param {boolean} split young and old donors apart
 */
export async function dotsOf(ageing, genes, protocol, split) {
  const cards = await Promise.all(genes.map((gene) => ageing.gene(gene.token)));
  const own = ageing.groups.filter((group) => group.protocol === protocol && group.cells >= ageing.fewest);
  const { cut } = ageing;
  const rows = [...Map.groupBy(own, (group) => group.type)].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([type, groups]) => (split && cut !== null
    ? SIDES.map((age) => ({ type, age: /** @type {string} */ (age), groups: groups.filter((group) => (group.age >= cut) === (age === "old")) }))
    : [{ type, age: "", groups }])).filter((row) => row.groups.length);
  /** @type {DotOf[][]} */
  const dots = rows.map(({ type, age, groups }) => genes.map((gene, i) => {
    const all = cards[i].dots.length ? groups.map((group) => cards[i].dots[group.row]) : []; // none: NaN, as nothing is known of the gene
    const mean = (/** @type {(dot: import("./ageing.js").Dot) => number} */ of) => all.reduce((sum, dot) => sum + of(dot), 0) / all.length;
    return { type, age, gene, donors: groups.length, mean: mean((dot) => levelOf(dot.own, dot.counts)), share: mean((dot) => dot.detected / dot.cells) };
  }));
  return { fewest: ageing.fewest, dots };
}

/** Protocols, the one of most cells first. @param {Ageing} ageing */
export function protocolsOf(ageing) {
  const cells = (/** @type {string} */ protocol) => ageing.groups.reduce((sum, group) => sum + (group.protocol === protocol ? group.cells : 0), 0);
  return [...new Set(ageing.groups.map((group) => group.protocol))].sort((a, b) => cells(b) - cells(a));
}

/**
 * @param {Ageing} ageing
 * @param {import("./genes.js").Genes} genes
 * @param {{names: string[], protocol: string | null, type: string | null, split: boolean, scaled: boolean, dark: boolean}} asked
 * @param {{change: (change: Partial<import("./address.js").State>) => void, about: Record<string, unknown>}} act
 */
export async function dotPlotPage(ageing, genes, { names, protocol, type, split, scaled, dark }, act) {
  const protocols = protocolsOf(ageing);
  const chosen = protocols.find((one) => one === protocol) ?? protocols[0];
  const unknown = names.filter((name) => !genes.byName.has(name.toUpperCase()));
  const found = [...new Map(names.filter((name) => !unknown.includes(name)).map((name) => genes.find(name)).map((gene) => [gene.token, gene])).values()].slice(0, MOST);
  const text = element("input", { id: "dot-genes", type: "text", "aria-label": "Genes", placeholder: "Names of genes, with spaces between", spellcheck: "false", autocomplete: "off", value: names.join(" ") });
  const asked = () => text.value.split(/[\s,;]+/).filter(Boolean);
  const choice = element("select", { "aria-label": "Protocol", onchange: () => act.change({ protocol: choice.value }) }, ...protocols.map((one) => element("option", { value: one, selected: one === chosen }, visible(one))));
  const box = element("input", { type: "checkbox", checked: split, onchange: () => act.change({ split: box.checked }) });
  const begin = [
    element("h2", {}, "Dot plot"),
    element("form", { class: "ask", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); act.change({ dots: asked() }); } }, text, element("button", {}, "Show"),
      protocols.length > 1 ? element("label", {}, "Protocol ", choice) : null, ageing.cut === null ? null : element("label", { class: "inline" }, box, `young and old apart (${measure(ageing.cut)} years)`)),
    element("p", { class: "hint" }, visible([...(unknown.length ? [`not found: ${unknown.join(", ")}`] : []), ...(names.length > MOST ? [`the first ${MOST} genes are shown`] : [])].map(sentence).join(" "))),
  ];
  const shown = { protocol: chosen, type, names, scaled, dark };
  if (!found.length) return [...begin, element("p", {}, "Paste names of genes, symbols or ids, or take markers of a type."), ...await ofOneType(ageing, genes, found, shown, act)];
  const { fewest, dots } = await dotsOf(ageing, found, chosen, split);
  const label = (/** @type {DotOf} */ dot) => (dot.age ? `${dot.type}, ${dot.age}` : dot.type);
  const flat = dots.flat();
  return [
    ...begin,
    element("p", { class: "hint" }, `Each the mean over donors${chosen === "all" ? "" : ` of the protocol ${visible(chosen)}`} with at least ${fewest} cells of the type, their number behind its name: colour is log2 of 1 + counts per million of a donor's cells together, size the share of cells with counts. Describes, and tests nothing.`),
    chart((width) => draw(dots, found, label, width, dark), "dotplot"),
    element("details", {}, element("summary", {}, "The same as a table"),
      sheetTable("Genes by type", [{ head: "type" }, { head: "donors", number: true }, ...found.map((gene) => ({ head: visible(gene.symbol), number: true }))],
        dots.map((row) => [visible(label(row[0])), String(row[0].donors), ...row.map((dot) => (Number.isNaN(dot.mean) ? "–" : `${dot.mean.toFixed(2)} (${percent(dot.share, 1)})`))]))),
    saveTable("dotplot", { ...act.about, protocol: chosen }, ["cell_type", "age", "gene", "gene_id", "n_donors", "mean_log2_cpm_plus_1", "share_of_cells"],
      () => flat.map((dot) => [dot.type, dot.age, dot.gene.symbol, dot.gene.id, dot.donors, dot.mean, dot.share])),
    ...await ofOneType(ageing, genes, found, shown, act),
  ];
}

/**
 * What the page shows of one type, which is chosen there.
 * @param {Ageing} ageing
 * @param {import("./genes.js").Genes} genes
 * @param {Gene[]} found those of the list
 * @param {{protocol: string, type: string | null, names: string[], scaled: boolean, dark: boolean}} asked
 * @param {{change: (change: Partial<import("./address.js").State>) => void, about: Record<string, unknown>}} act
 */
async function ofOneType(ageing, genes, found, { protocol, type, names, scaled, dark }, act) {
  const types = typesOf(ageing, protocol);
  if (!types.length) return [];
  const chosen = (types.find((one) => one.type === type) ?? types[0]).type;
  const choice = element("select", { id: "heat-type", onchange: () => act.change({ type: choice.value }) }, ...types.map((one) =>
    element("option", { value: one.type, selected: one.type === chosen }, `${visible(one.type)} (${several(one.donors, "donor")})`)));
  return [
    element("h3", {}, `Donors of ${visible(chosen)}`), element("label", { class: "choice" }, "Type ", choice),
    ...(found.length ? await heatMapPart(ageing, found, { protocol, type: chosen, scaled, dark }, act) : []),
    ...await markerPart(ageing, genes, { protocol, type: chosen, names }, act),
  ];
}

/**
 * @param {DotOf[][]} dots
 * @param {Gene[]} genes
 * @param {(dot: DotOf) => string} label
 * @param {number} width
 * @param {boolean} dark
 */
function draw(dots, genes, label, width, dark) {
  const { soft, line } = inks();
  const values = dots.flat().map((dot) => dot.mean).filter(Number.isFinite);
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const [left, top] = [Math.min(170, width * 0.4), 84];
  const step = Math.max(13, Math.min(30, (width - left - 12) / genes.length));
  const shade = scale([low, high], [0, 1]);
  const colour = (/** @type {number} */ value) => css(ramp(high > low ? shade(value) : 0.5, dark));
  const y = (/** @type {number} */ row) => top + 18 * row + 9;
  const radius = (/** @type {number} */ share) => Math.sqrt(share) * Math.min(8.5, step / 2 - 0.5);
  const end = y(dots.length) + 6;
  return figure(Math.max(width, left + step * genes.length + 20), end + 54, `Dot plot of ${several(genes.length, "gene")} in ${several(dots.length, "row")} of types; the numbers are in the table below`,
    ...genes.map((gene, i) => shape("text", { transform: `translate(${(left + step * (i + 0.5) + 4).toFixed(1)},${top - 6}) rotate(-60)` }, short(visible(gene.symbol), 14))),
    ...dots.flatMap((row, k) => [
      shape("line", { x1: left, x2: left + step * genes.length, y1: y(k), y2: y(k), stroke: line }),
      shape("text", { x: left - 8, y: y(k) + 4, "text-anchor": "end" }, `${short(visible(label(row[0])), left / 6.6 - 5)} (${row[0].donors})`),
      ...row.map((dot, i) => Number.isNaN(dot.mean) ? null : shape("circle", { cx: left + step * (i + 0.5), cy: y(k), r: radius(dot.share), fill: colour(dot.mean) },
        shape("title", {}, visible(`${dot.gene.symbol} in ${label(dot)}: ${measure(dot.mean)}, ${percent(dot.share, 1)} of cells, ${several(dot.donors, "donor")}`)))),
    ]),
    ...[0, 0.25, 0.5, 0.75, 1].map((t, i) => shape("rect", { x: 8 + 26 * i, y: end + 8, width: 26, height: 10, fill: css(ramp(t, dark)) })),
    shape("text", { x: 8, y: end + 32, fill: soft }, measure(low)), shape("text", { x: 138, y: end + 32, "text-anchor": "end", fill: soft }, measure(high)), shape("text", { x: 8, y: end + 46, fill: soft }, "log2(CPM + 1)"),
    ...[0.1, 0.5, 1].flatMap((share, i) => [
      shape("circle", { cx: 190 + 52 * i, cy: end + 13, r: radius(share), fill: soft }),
      shape("text", { x: 190 + 52 * i, y: end + 32, "text-anchor": "middle", fill: soft }, `${100 * share} %`)]));
}
