// Genes of A against B as the page has compared them: charts or a volcano, a table and a CSV a protocol.

import { volcano } from "./charts.js";
import { sayPlan } from "./donorsides.js";
import { pText, signed } from "./genecard.js";
import { sideName } from "./selections.js";
import { chart, saveTable, sheetTable } from "./sheet.js";
import { sideCharts } from "./sidecharts.js";
import { count, element, measure, sentence, several, visible } from "./text.js";

/** @typedef {import("./comparison.js").Compared} Compared */
/** @typedef {import("./comparison.js").LeftOut} LeftOut */
/** @typedef {{a: string, b: string}} Names of the sides */
/** @typedef {{about: Record<string, unknown>, card: (id: string) => void}} Act */

const DRAWN = 12; // genes with a chart of their own
const NAMED = 12; // most genes in a sentence
const CLEAR = 0.05;
const TESTS = { paired: "paired t over donors", between: "Welch's t over donors" };

/**
 * @param {import("./address.js").State} state
 * @param {{found: Compared[], left: LeftOut[], common: boolean[] | null}} result common: whether each gene of the dataset was measured by all studies; null where all were
 * @param {Act} act
 */
export function comparedParts(state, { found, left, common }, { about: dataset, card }) {
  const names = { a: sideName(state, "a"), b: sideName(state, "b") };
  const of = common ? "counts per million counts of the genes that all studies measured" : "counts per million of a donor's cells together";
  const about = { ...dataset, a: state.a, b: state.b, value: `log2(1 + ${of})`, adjustment: "Benjamini-Hochberg over the genes of a protocol" };
  const groups = [...Map.groupBy(found, ({ protocol, lacking }) => JSON.stringify([protocol, lacking])).values()]
    .sort(([x], [y]) => (x.protocol === y.protocol ? x.lacking.length - y.lacking.length : x.protocol < y.protocol ? -1 : 1));
  return [
    element("p", { role: "status" }, `Compared: ${several(new Set(found.map(({ gene }) => gene.token)).size, "gene")}.`),
    common ? element("p", { class: "hint" }, `Not all studies have measured the same genes: counts per million are of the ${count(common.filter(Boolean).length)} of ${several(common.length, "gene")} that all have.`) : null,
    ...left.map((one) => element("p", { class: "verdict left" }, visible(sayLeft(one)))),
    ...groups.flatMap((rows) => protocolParts(rows.sort((x, y) => (Number.isNaN(x.p) ? 2 : x.p) - (Number.isNaN(y.p) ? 2 : y.p)), names, { about, card })),
  ];
}

/** @param {LeftOut} left */
function sayLeft({ genes, lacking, protocol, reason }) {
  const some = genes.slice(0, NAMED).map(({ symbol }) => symbol).join(", ") + (genes.length > NAMED ? ` and ${genes.length - NAMED} more` : "");
  return `${some}: not measured by ${lacking.join(", ")}, and not compared over the other donors${protocol && protocol !== "all" ? ` of ${protocol}` : ""}: ${reason}.`;
}

/**
 * @param {Compared[]} rows of one plan, the clearest first
 * @param {Names} names
 * @param {Act} act
 */
function protocolParts(rows, names, { about: general, card: open }) {
  const [{ plan, lacking }] = rows;
  const { protocol, kind, a, b } = plan;
  const about = { ...general, protocol, test: kind && TESTS[kind], ...(lacking.length ? { not_measured_by: lacking } : {}) };
  const clear = rows.filter((row) => row.adjusted < CLEAR);
  const title = `${protocol === "all" ? "" : ` in ${visible(protocol)}`}${lacking.length ? `, not measured by ${visible(lacking.join(", "))}` : ""}`;
  const file = `a_against_b_${[protocol, ...(lacking.length ? ["without", ...lacking] : [])].join("_").replace(/[^\w.-]+/g, "_")}`;
  const interval = (/** @type {Compared} */ row) => (Number.isNaN(row.p) ? "–" : `${signed(row.low, 3)} to ${signed(row.high, 3)}`);
  const card = (/** @type {Compared} */ row) => open(row.gene.id);
  const known = rows.filter((row) => !Number.isNaN(row.p));
  const dots = (/** @type {Compared} */ row) => row.donors.map((one) => ({ donor: one.donor, side: one.side, value: one.value, text: `${one.donor}, ${one.side.toUpperCase()}: ${several(one.cells, "cell")}, ${measure(one.value)}` }));
  return [
    element("h3", {}, `${kind === "paired" ? several(a.length, "donor") : `${several(a.length, "donor")} against ${b.length}`}${title}`),
    element("p", { class: "verdict" }, `${count(clear.length)} of ${several(rows.length, "gene")} ${clear.length === 1 ? "differs" : "differ"} with adjusted p < ${CLEAR}: ${count(clear.filter((row) => row.difference > 0).length)} higher in ${visible(names.a)}, ${count(clear.filter((row) => row.difference < 0).length)} higher in ${visible(names.b)}.`),
    ...(lacking.length ? [element("p", { class: "hint" }, `${visible(sentence(`not measured by ${lacking.join(", ")}, of which nothing is known: compared over donors whose study has measured ${rows.length === 1 ? "it" : "them"}`))} ${sayPlan(plan)}`)] : []),
    ...(rows.length <= DRAWN
      ? [chart((width) => sideCharts(rows.map((row) => ({ title: row.gene.symbol, lines: [`${signed(row.difference, 3)} (${interval(row)})`, `adjusted p ${pText(row.adjusted)}`], dots: dots(row), paired: kind === "paired", names })), width,
        `${several(rows.length, "gene")} of donors in ${names.a} and ${names.b}${title}; the numbers are in the tables below`), file)]
      : [chart((width) => volcano(known.map((row) => ({ effect: row.difference, p: row.p, adjusted: row.adjusted, name: row.gene.symbol })), width, {
        label: `Volcano plot of ${several(known.length, "gene")}, ${names.a} against ${names.b}${title}; the numbers are in the table below`, threshold: CLEAR, axis: visible(`log2 difference, ${names.a} less ${names.b}`), chosen: (i) => card(known[i]),
      }), file)]),
    sheetTable(`A against B${title}`, ["gene", `mean of ${visible(names.a)}`, `mean of ${visible(names.b)}`, "log2 difference, A less B", "95 % interval", "p", "adjusted p"].map((head, i) => ({ head, number: i > 0 })), rows.map((row) => [
      element("button", { type: "button", class: "link", onclick: () => card(row) }, visible(row.gene.symbol)), measure(row.meanA), measure(row.meanB), signed(row.difference, 3), interval(row), pText(row.p), pText(row.adjusted)])),
    element("p", { class: "hint" }, known.length < rows.length ? `${several(rows.length - known.length, "gene")} without p: of no counts, or the same in all donors.` : ""),
    saveTable(file, about, ["gene", "gene_id", "protocol", "donors_a", "donors_b", "mean_a", "mean_b", "log2_difference", "ci_low", "ci_high", "t", "df", "p_value", "adj_p_value"],
      () => rows.map((row) => [row.gene.symbol, row.gene.id, protocol, a.length, b.length, row.meanA, row.meanB, row.difference, row.low, row.high, row.t, row.df, row.p, row.adjusted])),
    element("details", {}, element("summary", {}, "Every donor as a table"),
      ...(rows.length <= DRAWN ? [sheetTable(`Donors of A and B${title}`, ["gene", "donor", "side", "cells", "counts", "log2(CPM + 1)"].map((head, i) => ({ head, number: i > 2 })),
        rows.flatMap((row) => row.donors.map((one) => [visible(row.gene.symbol), visible(one.donor), visible(names[one.side]), count(one.cells), count(one.counts), one.value.toFixed(3)])))] : []),
      saveTable(`${file}_donors`, about, ["gene", "gene_id", "protocol", "donor", "side", "n_cells", "counts", "counts_of_all_genes", "log2_cpm_plus_1"],
        () => rows.flatMap((row) => row.donors.map((one) => [row.gene.symbol, row.gene.id, protocol, one.donor, one.side.toUpperCase(), one.cells, one.counts, one.total, one.value])))),
  ];
}
