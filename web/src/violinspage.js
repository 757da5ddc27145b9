// The page of violins: a list of genes in groups of cells, a violin a donor, with a table of the same numbers.

import { placeName } from "./ageing.js";
import { chart, folded, saveTable, sheetTable } from "./sheet.js";
import { count, element, measure, percent, sentence, several, visible } from "./text.js";
import { violinCharts } from "./violinchart.js";
import { firstGrouping, groupsBy, violinsOf } from "./violins.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */
/** @typedef {import("./violins.js").Grouping} Grouping */
/** @typedef {import("./violins.js").GroupOfCells} GroupOfCells */
/** @typedef {{change: (change: Partial<import("./address.js").State>) => void, about: Record<string, unknown>}} Act */

const MOST_GENES = 12;
const MOST_GROUPS = 40; // of which each has a chart a gene and protocol
const MOST_CHARTS = 60;

/**
 * What the state asks for: the genes that were found, and the groups of cells that are shown.
 * @param {Explorer} explorer
 * @param {string[]} names
 */
async function askedFor(explorer, names) {
  const genes = await explorer.genes();
  const unknown = names.filter((name) => !genes.byName.has(name.toUpperCase()));
  const found = [...new Map(names.filter((name) => !unknown.includes(name)).map((name) => genes.find(name)).map((gene) => [gene.token, gene])).values()];
  const grouping = explorer.state.grouping ?? firstGrouping(explorer.dataset);
  const groups = await groupsBy(explorer, grouping);
  const chosen = explorer.state.each ? groups.slice(0, MOST_GROUPS) : grouping === "sets" ? groups : [groups.find(({ label }) => label === explorer.state.label) ?? groups[0]].filter(Boolean);
  return { genes, unknown, found, grouping, groups, chosen };
}

/**
 * All numbers of the page.
 * @param {Explorer} explorer
 * @param {string[]} names
 */
export async function violinsOfState(explorer, names) {
  const { found, chosen } = await askedFor(explorer, names);
  return violinsOf(explorer, found.slice(0, MOST_GENES), chosen);
}

/**
 * @param {Explorer} explorer
 * @param {string[]} names of genes
 * @param {Act} act
 */
export async function violinsPage(explorer, names, act) {
  const { genes, unknown, found, grouping, groups, chosen } = await askedFor(explorer, names);
  const asked = found.slice(0, MOST_GENES);
  const begin = controls(explorer, { names, grouping, groups, chosen, units: genes.units }, act);
  const notes = [...(unknown.length ? [`not found: ${unknown.join(", ")}`] : []), ...(found.length > MOST_GENES ? [`the first ${MOST_GENES} genes are shown`] : []),
    ...(explorer.state.each && groups.length > MOST_GROUPS ? [`the ${MOST_GROUPS} largest groups are shown`] : [])];
  if (!asked.length || !chosen.length) return [...begin, element("p", {}, visible([...notes, asked.length ? "no cell is shown, or has an entry there" : "name some genes"].map(sentence).join(" ")))];
  const all = await violinsOf(explorer, asked, chosen);
  const charts = all.charts.filter(({ donors, lacking }) => donors.length || lacking.length).slice(0, MOST_CHARTS);
  if (charts.length < all.charts.length) notes.push(`${charts.length} charts are shown of ${all.charts.length}; the CSV has all`);
  const lacking = [...new Map(all.charts.filter((one) => one.lacking.length).map((one) => [one.gene.symbol, one.lacking]))];
  notes.push(...lacking.map(([symbol, studies]) => `${symbol} was not measured by ${studies.join(", ")}: no zero, and no violin`));
  if (all.unnamed) notes.push(`${several(all.unnamed, "cell")} without a donor or protocol left out`);
  if (explorer.state.where.length) notes.push("cells that are hidden on the map are left out");
  return [
    ...begin,
    element("p", { class: "hint" }, `A violin a donor, the youngest first, with age in years and number of cells: where its cells lie, widest where most do (Gaussian kernels of Scott's width, all of one width at the widest); the bar spans the middle half of them, the dot is the median. Open dots are single cells, of donors with fewer than ${all.fewest}. Protocols are apart. `
      + "Donors are the replicates, and cells are not: this describes, and tests nothing."),
    ...(notes.length ? [element("p", { class: "hint", id: "violin-notes" }, visible(notes.map(sentence).join(" ")))] : []),
    chart((width) => violinCharts(charts, width, { label: `Violins of ${several(asked.length, "gene")} by donor in ${several(charts.length, "chart")}; the numbers are in the table below`, cut: all.cut, unit: all.unit }), "violins"),
    numbers(all, charts, { ...act.about, grouping, unit: all.unit, where: explorer.state.where, a: explorer.state.a, b: explorer.state.b, saved: explorer.state.saved }),
  ];
}

/**
 * @param {Explorer} explorer
 * @param {{names: string[], grouping: Grouping, groups: GroupOfCells[], chosen: GroupOfCells[], units: string[]}} shown
 * @param {Act} act
 */
function controls({ state, dataset }, { names, grouping, groups, chosen, units }, { change }) {
  const text = element("input", { id: "violin-genes", type: "text", "aria-label": "Genes", placeholder: "Names of genes, with spaces between", spellcheck: "false", autocomplete: "off", value: names.join(" ") });
  /** @type {[string, Grouping][]} */
  const groupings = [["all cells", "all"], ...(state.a || state.b || state.saved.length ? [/** @type {[string, Grouping]} */ (["selections", "sets"])] : []),
    ...dataset.columns.filter((column) => column.kind === "labels" && column !== dataset.donor).map((column) => /** @type {[string, Grouping]} */ ([column.name, { column: column.name }]))];
  const same = (/** @type {Grouping} */ one) => JSON.stringify(one) === JSON.stringify(grouping);
  const by = element("select", { id: "violin-grouping", onchange: () => change({ grouping: groupings[Number(by.value)][1], label: null, each: false }) },
    ...groupings.map(([name, one], i) => element("option", { value: i, selected: same(one) }, visible(name))));
  const label = element("select", { id: "violin-group", onchange: () => change(label.value === "each" ? { label: null, each: true } : { label: groups[Number(label.value)].label, each: false }) },
    ...groups.map((one, i) => element("option", { value: i, selected: !state.each && one === chosen[0] }, `${visible(one.label)} (${several(one.rows.length, "cell")})`)),
    element("option", { value: "each", selected: state.each }, `each of them (${count(groups.length)})`));
  const unit = element("select", { id: "violin-unit", onchange: () => change({ unit: /** @type {any} */ (unit.value) }) },
    ...units.map((one) => element("option", { value: one, selected: one === state.unit }, one === "log" ? "log-normalised" : "counts")));
  return [
    element("h2", {}, "Violins by donor"),
    element("form", { class: "ask", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); change({ dots: text.value.split(/[\s,;]+/).filter(Boolean) }); } }, text, element("button", {}, "Show")),
    element("div", { class: "ask" },
      element("label", { class: "choice" }, "Cells by ", by),
      typeof grouping === "object" ? element("label", { class: "choice" }, "of ", label) : null,
      units.length > 1 ? element("label", { class: "choice" }, "Values ", unit) : null),
  ];
}

/**
 * @param {Awaited<ReturnType<typeof violinsOf>>} all
 * @param {import("./violins.js").ViolinChart[]} charts those that are shown
 * @param {Record<string, unknown>} about
 */
function numbers(all, charts, about) {
  const age = (/** @type {number} */ years) => (all.cut === null || Number.isNaN(years) ? "" : years < all.cut ? "young" : "old");
  const rowsOf = (/** @type {import("./violins.js").ViolinChart[]} */ some) => some.flatMap(({ donors, ...place }) => donors.map((violin) => ({ ...place, ...violin })));
  const rows = rowsOf(charts);
  const heads = ["gene", "group", "donor", "age", "cells", "smallest", "quarter", "median", "three quarters", "largest", "mean", "above zero"];
  return element("div", {},
    folded(`The same as a table (${several(rows.length, "row")})`, () => [
      sheetTable("Violins by donor", heads.map((head, i) => ({ head, number: i > 2 })), rows.map((row) => [
        visible(row.gene.symbol), visible(placeName({ type: row.label, protocol: row.protocol })), visible(row.donor), measure(row.age), `${count(row.cells)}${row.few ? " (few)" : ""}`,
        ...row.quantiles.map(measure), measure(row.mean), percent(row.share, 1)]))]),
    saveTable("violins", { ...about, young_below_years: all.cut, fewest_cells: all.fewest },
      ["gene", "gene_id", "group", "protocol", "donor", "age_years", "young_old", "n_cells", "too_few_cells", "minimum", "quantile_25", "median", "quantile_75", "maximum", "mean", "share_above_zero"],
      () => rowsOf(all.charts).map((row) => [row.gene.symbol, row.gene.id, row.label, row.protocol, row.donor, row.age, age(row.age), row.cells, String(row.few), ...row.quantiles, row.mean, row.share])));
}
