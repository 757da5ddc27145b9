// The genes that change with age in a type and protocol: a volcano and a table, each gene leading to its card.

import { placeName } from "./ageing.js";
import { volcano } from "./charts.js";
import { pText, signed, skippedList } from "./genecard.js";
import { chart, saveTable, sheetTable } from "./sheet.js";
import { count, element, measure, sentence, several, visible } from "./text.js";

/** @typedef {import("./ageing.js").Ageing} Ageing */

const SHOWN = 200; // genes of the table, the clearest first
const CLEAR = 0.05;

/**
 * @param {Ageing} ageing
 * @param {import("./genes.js").Genes} genes
 * @param {number} number of the comparison
 */
export async function changesOf(ageing, genes, number) {
  return (await ageing.genes(number)).map((one) => ({ ...one, ...genes.at(one.token) })).sort((a, b) => a.p - b.p);
}

/**
 * @param {Ageing} ageing
 * @param {import("./genes.js").Genes} genes
 * @param {number} number
 * @param {{choose: (number: number) => void, card: (gene: import("./genes.js").Gene) => void, about: Record<string, unknown>}} act
 */
export async function changesPage(ageing, genes, number, act) {
  const { told, comparisons } = ageing;
  const missing = told.expression?.missing;
  const begin = [
    element("h2", {}, "Genes that change with age"),
    element("p", { class: "verdict" }, visible(missing ? `Not evaluable: ${missing}` : `${told.expression?.verdict}.`)),
    element("p", { class: "hint" }, visible(["Donors are the replicates, protocols are compared apart", ...(told.expression?.left_out ?? [])].map(sentence).join(" "))),
  ];
  const comparison = comparisons[number];
  if (!comparison) return [...begin, skippedList(ageing)];
  const rows = await changesOf(ageing, genes, number);
  const clear = rows.filter((row) => row.adjusted < CLEAR);
  const choice = element("select", { id: "comparison", onchange: () => act.choose(Number(choice.value)) }, ...comparisons.map((one) =>
    element("option", { value: one.number, selected: one.number === number }, `${visible(placeName(one))} (${several(one.donors.length, "donor")})`)));
  const { formula, method } = told.expression.settings;
  const file = `changes_${placeName(comparison).replace(/[^\w.-]+/g, "_")}`;
  return [
    ...begin, element("label", { class: "choice" }, "Type and protocol ", choice),
    element("p", {}, `${several(comparison.donors.length, "donor")}, ${several(comparison.cells, "cell")}; ${several(rows.length, "gene")} with counts enough, ${count(clear.length)} of them with adjusted p < ${CLEAR} here: `
      + `${count(clear.filter((row) => row.effect > 0).length)} up, ${count(clear.filter((row) => row.effect < 0).length)} down.`),
    element("p", { class: "hint" }, visible([`Model ${formula}, log2 fold change a decade`, ...comparison.notes].join("; "))),
    chart((width) => volcano(rows.map((row) => ({ ...row, name: row.symbol })), width, {
      label: `Volcano plot of ${several(rows.length, "gene")} in ${placeName(comparison)}; the clearest are in the table below`, threshold: CLEAR, axis: "log2 fold change a decade",
      chosen: (i) => act.card(rows[i]),
    }), file),
    sheetTable("The clearest genes", ["gene", "log2 fold change a decade", "95 % interval", "mean log2 CPM", "p", "adjusted p"].map((head, i) => ({ head, number: i > 0 })), rows.slice(0, SHOWN).map((row) => [
      element("button", { type: "button", class: "link", onclick: () => act.card(row) }, visible(row.symbol)), signed(row.effect), `${signed(row.low)} to ${signed(row.high)}`, measure(row.mean), pText(row.p), pText(row.adjusted)])),
    element("p", { class: "hint" }, rows.length > SHOWN ? `The ${SHOWN} clearest of ${count(rows.length)}; all are in the CSV.` : ""),
    saveTable(file, { ...act.about, cell_type: comparison.type, protocol: comparison.protocol, formula, method }, ["gene", "gene_id", "mean_log_cpm", "log2_fold_change", "ci_low", "ci_high", "p_value", "adj_p_value"],
      () => rows.map((row) => [row.symbol, row.id, row.mean, row.effect, row.low, row.high, row.p, row.adjusted])),
    skippedList(ageing),
  ];
}
