// The card of a gene: its level against age in every type and protocol, a dot a donor, and how it changes.

import { keyOf, placeName } from "./ageing.js";
import { smallMultiples, youngOld } from "./charts.js";
import { chart, folded, saveTable, sheetTable } from "./sheet.js";
import { count, element, measure, percent, several, visible } from "./text.js";

/** @typedef {import("./ageing.js").Ageing} Ageing */
/** @typedef {import("./ageing.js").Dot} Dot */

/**
 * All numbers of a card.
 * @param {Ageing} ageing
 * @param {import("./genes.js").Gene} gene
 */
export async function cardOf(ageing, gene) {
  const { dots, changes } = await ageing.gene(gene.token);
  const byPlace = Map.groupBy(dots, keyOf);
  const tested = ageing.comparisons.map((comparison) => ({
    ...comparison, change: changes.get(comparison.number) ?? null, dots: (byPlace.get(keyOf(comparison)) ?? []).filter((dot) => dot.cells),
  })).sort((a, b) => (a.change?.p ?? 2) - (b.change?.p ?? 2));
  return { gene, dots, tested, detection: detectionOf(ageing, byPlace) };
}

/**
 * Share of cells with counts, its mean over young and over old donors of enough cells.
 * @param {Ageing} ageing
 * @param {Map<string, Dot[]>} byPlace
 */
function detectionOf(ageing, byPlace) {
  const { cut } = ageing;
  const fewest = fewestCells(ageing);
  if (cut === null) return [];
  return [...byPlace.values()].flatMap((all) => {
    const dots = all.filter((dot) => dot.cells >= fewest);
    const sides = [dots.filter((dot) => dot.age < cut), dots.filter((dot) => dot.age >= cut)];
    if (sides.every((side) => !side.length)) return [];
    const [young, old] = sides.map((side) => side.reduce((sum, dot) => sum + dot.detected / dot.cells, 0) / side.length);
    return [{ protocol: all[0].protocol, type: all[0].type, young, old, nYoung: sides[0].length, nOld: sides[1].length }];
  }).sort((a, b) => Math.max(b.young || 0, b.old || 0) - Math.max(a.young || 0, a.old || 0));
}

/** @param {Ageing} ageing */
function fewestCells(ageing) {
  return Number(ageing.told.expression?.settings?.min_cells ?? 10);
}

/** An effect with its interval. @param {import("./ageing.js").Change} change */
function effectText({ effect, low, high }) {
  return `${signed(effect)} (${signed(low)} to ${signed(high)})`;
}

/** @param {number} value @param {number} [digits] */
export function signed(value, digits = 2) {
  return Number.isFinite(value) ? `${value > 0 ? "+" : value < 0 ? "−" : ""}${measure(Math.abs(Number(value.toPrecision(digits))))}` : "–";
}

/** @param {number} p */
export function pText(p) {
  return !Number.isFinite(p) ? "–" : p < 1e-4 ? p.toExponential(1).replace("-", "−") : String(Number(p.toPrecision(2)));
}

/**
 * @param {Ageing} ageing
 * @param {import("./genes.js").Gene} gene
 * @param {{map: () => void, open: (comparison: number) => void, about: Record<string, unknown>}} act
 */
export async function geneCard(ageing, gene, act) {
  const card = await cardOf(ageing, gene);
  const { symbol, id } = gene;
  const fewest = fewestCells(ageing);
  const settings = ageing.told.expression?.settings ?? {};
  const file = symbol.replace(/[^\w.-]+/g, "_").slice(0, 40);
  const about = { ...act.about, gene: symbol, gene_id: id, formula: settings.formula, method: settings.method };
  return [
    element("h2", {}, visible(symbol), " ", element("small", {}, visible(id === symbol ? "" : id))),
    element("p", { class: "actions" }, element("button", { type: "button", onclick: act.map }, "Show on the map"), ...linksOf(symbol, id)),
    ...(card.dots.length ? [] : [element("p", { class: "verdict" }, "Not evaluable: no cell has a count of this gene, or not all studies have measured it.")]),
    ...charts(card, fewest, settings, file),
    ...testsTable(card, act, about, file),
    ...detection(card, fewest, ageing.cut, file),
    donorsTable(card, about, file),
    skippedList(ageing),
  ];
}

/** @param {string} symbol @param {string} id */
function linksOf(symbol, id) {
  const link = (/** @type {string} */ href, /** @type {string} */ text) => element("a", { href, target: "_blank", rel: "noopener noreferrer" }, text);
  return [
    /^ENS[A-Z]*G\d{11}/.test(id) ? link(`https://www.ensembl.org/id/${encodeURIComponent(id.split(".")[0])}`, "Ensembl") : null,
    /^ENSG\d{11}/.test(id) || /^[A-Z][A-Z0-9-]+$/.test(symbol) ? link(`https://www.genecards.org/cgi-bin/carddisp.pl?gene=${encodeURIComponent(symbol)}`, "GeneCards") : null,
  ];
}

/**
 * @param {Awaited<ReturnType<typeof cardOf>>} card
 * @param {number} fewest
 * @param {any} settings
 * @param {string} file
 */
function charts(card, fewest, settings, file) {
  const tested = card.tested.filter((one) => one.change);
  if (!card.dots.length) return [];
  if (!tested.length) return [element("p", {}, "No type has counts enough of this gene, in donors enough, for a test with age.")];
  const most = Math.max(...card.dots.map((dot) => dot.cells));
  const drawn = tested.map(({ change, dots, donors, cells, ...place }) => {
    const own = dots.filter((dot) => dot.compared);
    const middle = own.reduce((sum, dot) => sum + dot.age, 0) / own.length;
    return {
      title: placeName(place),
      lines: [`${several(donors.length, "donor")}, ${several(cells, "cell")}`, `${signed(change?.effect ?? NaN)} a decade (${signed(change?.low ?? NaN)} to ${signed(change?.high ?? NaN)})`, `adjusted p ${pText(change?.adjusted ?? NaN)}`],
      trend: change && { mean: /** @type {[number, number]} */ ([middle, change.mean]), effect: change.effect, low: change.low, high: change.high },
      dots: dots.map((dot) => ({
        x: dot.age, y: dot.value, hollow: !dot.compared, radius: 2.5 + 4 * Math.sqrt(dot.cells / most),
        text: `${dot.donor}: ${measure(dot.age)} years, ${several(dot.cells, "cell")}, ${measure(dot.value)}${dot.compared ? "" : `, not compared (fewer than ${fewest} cells, or something of the donor is not known)`}`,
      })),
    };
  });
  return [
    element("h3", {}, "Level against age"),
    element("p", { class: "hint" }, "log2 counts per million of a donor's cells together; a dot a donor, its size the number of cells. The line is the slope of the model "
      + `${visible(settings.formula ?? "")} a decade, through the donors' mean, with its 95 % interval, as `, element("code", {}, "titin age de"), ` gives it. Hollow: donors that are not compared. Protocols are compared apart.`),
    chart((width) => smallMultiples(drawn, width, { label: `${card.gene.symbol} against age in ${several(drawn.length, "comparison")}; the numbers are in the tables below`, values: null }), `${file}_age`),
  ];
}

/**
 * @param {Awaited<ReturnType<typeof cardOf>>} card
 * @param {{open: (comparison: number) => void}} act
 * @param {Record<string, unknown>} about
 * @param {string} file
 */
function testsTable(card, act, about, file) {
  if (!card.dots.length) return [];
  const heads = ["type", "donors", "cells", "log2 fold change a decade", "p", "adjusted p"];
  const rows = card.tested.map((one) => [
    element("button", { type: "button", class: "link", onclick: () => act.open(one.number) }, visible(placeName(one))), count(one.donors.length), count(one.cells),
    ...(one.change ? [effectText(one.change), pText(one.change.p), pText(one.change.adjusted)] : ["counts too few", "–", "–"]),
  ]);
  if (!rows.length) return [];
  return [
    element("h3", {}, "Change with age"), sheetTable("Change with age by type and protocol", heads.map((head, i) => ({ head, number: i > 0 })), rows),
    saveTable(`${file}_tests`, about, ["cell_type", "protocol", "n_donors", "n_cells", "mean_log_cpm", "log2_fold_change", "ci_low", "ci_high", "p_value", "adj_p_value"],
      () => card.tested.map(({ type, protocol, donors, cells, change }) => [type, protocol, donors.length, cells, change?.mean, change?.effect, change?.low, change?.high, change?.p, change?.adjusted])),
  ];
}

/**
 * @param {Awaited<ReturnType<typeof cardOf>>} card
 * @param {number} fewest
 * @param {number | null} cut
 * @param {string} file
 */
function detection(card, fewest, cut, file) {
  if (!card.detection.length || cut === null) return [];
  const said = (/** @type {number} */ share, /** @type {number} */ n) => (n ? `${percent(share, 1)} (${several(n, "donor")})` : "no donors");
  const rows = card.detection.map((row) => ({ ...row, label: placeName(row), text: `${placeName(row)}: young ${said(row.young, row.nYoung)}, old ${said(row.old, row.nOld)}` }));
  return [
    element("h3", {}, "Cells with counts"),
    element("p", { class: "hint" }, `Share of cells with a count of the gene, its mean over donors with at least ${fewest} cells of the type; young below ${measure(cut)} years. It follows the depth of sequencing.`),
    chart((width) => youngOld(rows, width, `Cells with counts of ${card.gene.symbol} by type, of young and old donors`), `${file}_detection`),
    element("details", {}, element("summary", {}, "The same as a table"), sheetTable("Cells with counts by type", [{ head: "type" }, { head: "young", number: true }, { head: "old", number: true }],
      rows.map((row) => [visible(row.label), said(row.young, row.nYoung), said(row.old, row.nOld)]))),
  ];
}

/**
 * @param {Awaited<ReturnType<typeof cardOf>>} card
 * @param {Record<string, unknown>} about
 * @param {string} file
 */
function donorsTable(card, about, file) {
  if (!card.dots.length) return element("p", { hidden: true });
  const dots = card.tested.flatMap((one) => one.dots);
  const heads = ["type", "donor", "age", "cells", "with counts", "counts", "log2 CPM"];
  return folded(`Every dot as a table (${count(dots.length)})`, () => [
    sheetTable("Donors by type and protocol", heads.map((head, i) => ({ head, number: i > 1 })), dots.map((dot) => [
      visible(placeName(dot)), visible(dot.donor), measure(dot.age), count(dot.cells), count(dot.detected), count(dot.own), dot.value.toFixed(3)])),
    saveTable(`${file}_donors`, about, ["cell_type", "protocol", "donor", "age", "n_cells", "cells_with_counts", "counts", "log2_cpm", "compared"],
      () => card.dots.map((dot) => [dot.type, dot.protocol, dot.donor, dot.age, dot.cells, dot.detected, dot.own, dot.value, String(dot.compared)]))]);
}

/** Types and protocols of which nothing can be said. @param {Ageing} ageing */
export function skippedList(ageing) {
  const { skipped } = ageing;
  if (!skipped.length) return element("p", { hidden: true });
  return element("details", {}, element("summary", {}, `Not evaluable: ${several(skipped.length, "type")} in a protocol`),
    sheetTable("Not evaluable", [{ head: "type" }, { head: "cells", number: true }, { head: "why" }],
      skipped.map((/** @type {any} */ one) => [visible(placeName(one)), count(one.cells), visible(one.reason)])));
}
