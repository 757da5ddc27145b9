// All genes of A against B, as the server of `titin explore` has compared them: a volcano, a table and a CSV a protocol.

import { volcano } from "./charts.js";
import { pText, signed } from "./genecard.js";
import { chart, saveTable, sheetTable } from "./sheet.js";
import { count, element, measure, sentence, several, visible } from "./text.js";

/** @typedef {import("./remote.js").RemoteResult} RemoteResult */
/** @typedef {import("./remote.js").RemoteTest} RemoteTest */

const SHOWN = 200; // genes of the table, the clearest first
const CLEAR = 0.05;

/**
 * @param {RemoteResult} result
 * @param {{a: string, b: string}} names of the sides
 * @param {{about: Record<string, unknown>, card: (id: string) => void}} act
 */
export function allGenesParts({ method, tests, skipped }, names, act) {
  return [
    element("p", { role: "status" }, `Compared: all genes in ${several(tests.length, "protocol")}.`),
    element("p", { class: "hint" }, sentence(visible(`as titin age de compares donors: ${method}`))),
    ...tests.flatMap((test) => testParts(test, names, { ...act, about: { ...act.about, method } })),
    ...skipped.map(({ protocol, reason }) => element("p", {}, visible(`${protocol === "all" ? "" : `${protocol}: `}not compared; ${reason}.`))),
  ];
}

/** The genes of a test, the clearest first. @param {RemoteTest} test */
function rowsOf({ genes }) {
  const number = (/** @type {number | null} */ value) => value ?? NaN;
  return genes.gene.map((name, i) => ({
    name, id: genes.id[i], mean: number(genes.mean[i]), effect: number(genes.effect[i]), low: number(genes.low[i]), high: number(genes.high[i]),
    p: number(genes.p[i]), adjusted: number(genes.adjusted[i]),
  })).sort((x, y) => (Number.isNaN(x.p) ? 2 : x.p) - (Number.isNaN(y.p) ? 2 : y.p));
}

/**
 * @param {RemoteTest} test
 * @param {{a: string, b: string}} names
 * @param {{about: Record<string, unknown>, card: (id: string) => void}} act
 */
function testParts(test, names, { about, card }) {
  const rows = rowsOf(test);
  const { protocol, kind, formula, donors_a: a, donors_b: b, notes } = test;
  const clear = rows.filter((row) => row.adjusted < CLEAR);
  const title = protocol === "all" ? "" : ` in ${visible(protocol)}`;
  const file = `all_genes_a_against_b_${protocol.replace(/[^\w.-]+/g, "_")}`;
  return [
    element("h3", {}, `All genes, ${kind === "paired" ? `${several(a.length, "donor")} with both` : `${several(a.length, "donor")} against ${b.length}`}${title}`),
    element("p", { class: "verdict" }, `${count(clear.length)} of ${several(rows.length, "gene")} with counts enough ${clear.length === 1 ? "differs" : "differ"} with adjusted p < ${CLEAR}: `
      + `${count(clear.filter((row) => row.effect > 0).length)} higher in ${visible(names.a)}, ${count(clear.filter((row) => row.effect < 0).length)} higher in ${visible(names.b)}.`),
    element("p", { class: "hint" }, visible([`Model ${formula}`, ...notes].join("; "))),
    chart((width) => volcano(rows, width, {
      label: `Volcano plot of ${several(rows.length, "gene")}, ${names.a} against ${names.b}${title}; the clearest are in the table below`, threshold: CLEAR, axis: visible(`log2 fold change, ${names.a} against ${names.b}`), chosen: (i) => card(rows[i].id),
    }), file),
    sheetTable(`All genes, A against B${title}`, ["gene", "log2 fold change, A against B", "95 % interval", "mean log2 CPM", "p", "adjusted p"].map((head, i) => ({ head, number: i > 0 })), rows.slice(0, SHOWN).map((row) => [
      element("button", { type: "button", class: "link", onclick: () => card(row.id) }, visible(row.name)), signed(row.effect, 3), `${signed(row.low, 3)} to ${signed(row.high, 3)}`, measure(row.mean), pText(row.p), pText(row.adjusted)])),
    element("p", { class: "hint" }, rows.length > SHOWN ? `The ${SHOWN} clearest of ${count(rows.length)}; all are in the CSV.` : ""),
    saveTable(file, { ...about, protocol, formula, donors_a: a, donors_b: b, notes }, ["gene", "gene_id", "mean_log_cpm", "log2_fold_change", "ci_low", "ci_high", "p_value", "adj_p_value"],
      () => rows.map((row) => [row.name, row.id, row.mean, row.effect, row.low, row.high, row.p, row.adjusted])),
  ];
}
