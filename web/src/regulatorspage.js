// Regulators and what changes of them; of one that is chosen its activity in each donor, and its targets, which lead to the map.

import { keyOf, placeName } from "./ageing.js";
import { smallMultiples, volcano } from "./charts.js";
import { pText, signed } from "./genecard.js";
import { chart, saveTable, sheetTable } from "./sheet.js";
import { count, element, measure, sentence, several, visible } from "./text.js";

/** @typedef {import("./regulators.js").Regulators} Regulators */
/** @typedef {import("./regulators.js").Regulated} Regulated */
/** @typedef {import("./regulators.js").Edge} Edge */
/** @typedef {{regulator: string | null, place: string | null}} Asked place: by its name; null for all, or of a regulator for that with the clearest change */
/**
 * @typedef {object} Act
 * @property {(change: {regulator?: string | null, comparison?: string | null}) => void} change
 * @property {(name: string) => void} card a gene as its page shows it
 * @property {(genes: string[]) => void} map cells coloured by genes
 * @property {(name: string) => boolean} isGene
 * @property {Record<string, unknown>} about
 */

const SHOWN = 200; // rows of a table, the clearest first
const COLOURED = 30; // targets by whose mean the map is coloured
const CLEAR = 0.05;
const CHANGE_HEADS = ["effect", "ci_low", "ci_high", "p_value", "adj_p_value"];

/**
 * @param {Regulators} regulators
 * @param {Asked} asked
 * @param {Act} act
 */
export async function regulatorsPage(regulators, asked, act) {
  const { activities, networks } = regulators.told;
  const whence = activities?.settings ?? networks?.settings ?? {};
  const where = (whence.where ?? []).join(" and ");
  const head = [
    element("h2", {}, asked.regulator === null ? "Regulators of genes" : visible(regulators.find(asked.regulator))),
    ...(asked.regulator === null ? [activities, networks].filter(Boolean).map((told) => element("p", { class: "verdict" }, visible(`${told.verdict}.`))) : []),
    element("p", { class: "hint" }, visible([
      "Donors are the replicates, protocols are compared apart", where ? `of the cells of ${where}` : "", activities?.caveat, networks?.caveat,
    ].filter(Boolean).map(sentence).join(" "))),
  ];
  return asked.regulator === null ? [...head, ...overview(regulators, asked.place, act)] : [...head, ...await one(regulators, regulators.find(asked.regulator), asked.place, act)];
}

/** @param {Regulators} regulators */
function unitOf(regulators) {
  return regulators.decades ? "a decade" : "old less young";
}

/**
 * A choice of a type and protocol.
 * @param {string[]} names
 * @param {string | null} chosen
 * @param {string | null} all what stands for none
 * @param {(name: string | null) => void} choose
 */
function placeChoice(names, chosen, all, choose) {
  const select = element("select", { id: "regulator-place", onchange: () => choose(select.value || null) },
    ...(all === null ? [] : [element("option", { value: "", selected: chosen === null }, all)]),
    ...names.map((name) => element("option", { value: name, selected: name === chosen }, visible(name))));
  return element("label", { class: "choice" }, "Type and protocol ", select);
}

/**
 * All regulators of a place, or of all, the clearest change of activity first.
 * @param {Regulators} regulators
 * @param {string | null} place
 */
export function rowsOf(regulators, place) {
  const p = (/** @type {Regulated} */ row) => row.change.p;
  return regulators.rows.filter((row) => place === null || placeName(row) === place)
    .sort((a, b) => (p(a) || (p(a) === 0 ? 0 : 2)) - (p(b) || (p(b) === 0 ? 0 : 2)) || (a.strengthChange.p || 2) - (b.strengthChange.p || 2) || (a.rank || 1e9) - (b.rank || 1e9));
}

/**
 * @param {Regulators} regulators
 * @param {string | null} asked
 * @param {Act} act
 */
function overview(regulators, asked, act) {
  const names = [...new Set(regulators.rows.map(placeName))].sort();
  const place = names.includes(asked ?? "") ? asked : null;
  const rows = rowsOf(regulators, place);
  const tested = rows.filter((row) => Number.isFinite(row.change.p));
  const unit = unitOf(regulators);
  const { activities, networks } = regulators.told;
  const file = `regulators${place === null ? "" : `_${place.replace(/[^\w.-]+/g, "_")}`}`;
  const open = (/** @type {Regulated} */ row) => act.change({ regulator: row.regulator, comparison: placeName(row) });
  const heads = ["regulator", "type", "donors", "targets", `change of activity, ${unit}`, "95 % interval", "p", "FDR", "FDR over all types", "activity beside other types (rank)", ...(networks ? [`strength, its change ${unit}`, "FDR of strength"] : [])];
  return [
    placeChoice(names, place, "all of them", (comparison) => act.change({ comparison })),
    element("p", { class: "hint" }, visible(activities
      ? `Activity: ${activities.settings.activity}; targets are those of ${activities.settings.network}. Model ${activities.settings.formula ?? "none"}; FDR within a type and protocol, and over all.`
      : "Activities need a network that is known, and were not computed.")),
    ...(tested.length ? [chart((width) => volcano(tested.map((row) => ({ effect: row.change.effect, p: row.change.p, adjusted: row.change.adjusted, name: place === null ? `${row.regulator} · ${row.type}` : row.regulator })), width, {
      label: `Volcano plot of ${several(tested.length, "test")} of activity; the clearest are in the table below`, threshold: CLEAR, axis: `change of activity, ${unit}`, chosen: (i) => open(tested[i]),
    }), file)] : []),
    sheetTable("Regulators", heads.map((head, i) => ({ head, number: i > 1 })), rows.slice(0, SHOWN).map((row) => [
      element("button", { type: "button", class: "link", onclick: () => open(row) }, visible(row.regulator)), visible(placeName(row)),
      count(row.change.donors || row.donors), count(row.targets), ...changeCells(row.change), pText(row.change.overAll),
      Number.isFinite(row.activity) ? `${signed(row.activity)} (${count(row.rank)})` : "–",
      ...(networks ? [Number.isFinite(row.strength) ? `${signed(row.strength)}, ${signed(row.strengthChange.effect)}` : "–", pText(row.strengthChange.adjusted)] : []),
    ])),
    element("p", { class: "hint" }, rows.length > SHOWN ? `The ${SHOWN} clearest of ${count(rows.length)}; all are in the CSV.` : ""),
    saveTable(file, aboutOf(regulators, act), ["regulator", "cell_type", "protocol", "n_donors", "n_cells", "n_targets", "activity", "rank", "n_donors_tested", ...CHANGE_HEADS, "adj_p_value_across_types",
      "strength", "strength_n_donors", ...CHANGE_HEADS.map((name) => `strength_${name}`), "strength_adj_p_value_across_types"], () => rows.map((row) => [
      row.regulator, row.type, row.protocol, row.donors, row.cells, row.targets, row.activity, row.rank || null, row.change.donors, ...changeValues(row.change), row.change.overAll,
      row.strength, row.strengthChange.donors, ...changeValues(row.strengthChange), row.strengthChange.overAll])),
    skippedList(regulators),
  ];
}

/** @param {{effect: number, low: number, high: number, p: number, adjusted: number}} change */
function changeCells({ effect, low, high, p, adjusted }) {
  return Number.isFinite(p) ? [signed(effect), `${signed(low)} to ${signed(high)}`, pText(p), pText(adjusted)] : ["–", "–", "–", "–"];
}

/** @param {{effect: number, low: number, high: number, p: number, adjusted: number}} change */
function changeValues({ effect, low, high, p, adjusted }) {
  return [effect, low, high, p, adjusted];
}

/** @param {Regulators} regulators @param {Act} act */
function aboutOf(regulators, act) {
  const { activities, networks, cell_type_level: level } = regulators.told;
  return { ...act.about, cell_type_level: level, contrast: (activities ?? networks)?.settings?.contrast, formula: activities?.settings?.formula, network: (activities ?? networks)?.settings?.network, backend: networks?.settings?.backend };
}

/**
 * @param {Regulators} regulators
 * @param {string} regulator
 * @param {string | null} asked
 * @param {Act} act
 */
async function one(regulators, regulator, asked, act) {
  const { dots, edges } = await regulators.of(regulator);
  const rows = rowsOf(regulators, null).filter((row) => row.regulator === regulator);
  const file = regulator.replace(/[^\w.-]+/g, "_").slice(0, 40);
  const about = { ...aboutOf(regulators, act), regulator };
  const gene = act.isGene(regulator);
  const { networks } = regulators.told;
  return [
    element("p", { class: "actions" },
      element("button", { type: "button", id: "all-regulators", onclick: () => act.change({ regulator: null, comparison: null }) }, "All regulators"),
      gene ? element("button", { type: "button", onclick: () => act.card(regulator) }, "Its gene") : null,
      gene ? element("button", { type: "button", onclick: () => act.map([regulator]) }, "Its gene on the map") : null),
    ...(dots.some((dot) => Number.isFinite(dot.age)) ? [] : [element("p", {}, "No donor of this regulator has an age that is known.")]),
    ...donorCharts(regulators, regulator, rows, dots, "activity", file), ...donorCharts(regulators, regulator, rows, dots, "strength", file),
    element("h3", {}, "By type and protocol"),
    sheetTable("Change with age by type and protocol", ["type", "donors", "cells", "targets", `change of activity, ${unitOf(regulators)}`, "95 % interval", "p", "FDR", "activity beside other types", "rank", ...(networks ? ["strength", `its change, ${unitOf(regulators)}`, "95 % interval", "p", "FDR"] : [])].map((head, i) => ({ head, number: i > 0 })),
      rows.map((row) => [
        element("button", { type: "button", class: "link", onclick: () => act.change({ comparison: placeName(row) }) }, visible(placeName(row))), count(row.change.donors || row.donors), count(row.cells), count(row.targets),
        ...changeCells(row.change), signed(row.activity), row.rank ? count(row.rank) : "–", ...(networks ? [signed(row.strength), ...changeCells(row.strengthChange)] : [])])),
    ...targets(regulators, regulator, edges, asked, act, about, file),
    element("details", {}, element("summary", {}, `Every dot as a table (${count(dots.length)})`),
      sheetTable("Donors by type and protocol", ["type", "donor", "age", "cells", "activity", "strength"].map((head, i) => ({ head, number: i > 1 })),
        dots.map((dot) => [visible(placeName(dot)), visible(dot.donor), measure(dot.age), count(dot.cells), measure(dot.activity), measure(dot.strength)]))),
    saveTable(`${file}_donors`, about, ["cell_type", "protocol", "donor", "age", "n_cells", "activity", "strength"],
      () => dots.map((dot) => [dot.type, dot.protocol, dot.donor, dot.age, dot.cells, dot.activity, dot.strength])),
  ];
}

/**
 * Activity, or strength, against age, a dot a donor.
 * @param {Regulators} regulators
 * @param {string} regulator
 * @param {Regulated[]} rows
 * @param {import("./regulators.js").RegulatorDot[]} dots
 * @param {"activity" | "strength"} what
 * @param {string} file
 */
function donorCharts(regulators, regulator, rows, dots, what, file) {
  const byPlace = Map.groupBy(dots.filter((dot) => Number.isFinite(dot[what]) && Number.isFinite(dot.age)), keyOf);
  const most = Math.max(1, ...dots.map((dot) => dot.cells));
  const { decades } = regulators;
  const fewest = what === "activity" ? regulators.fewest : 0; // strengths are of donors that take part alone
  const drawn = rows.flatMap((row) => {
    const own = byPlace.get(keyOf(row)) ?? [];
    const counted = own.filter((dot) => dot.cells >= fewest);
    if (!counted.length) return [];
    const mean = (/** @type {"age" | "activity" | "strength"} */ value) => counted.reduce((sum, dot) => sum + dot[value], 0) / counted.length;
    const { effect, low, high, p, adjusted, donors } = what === "activity" ? row.change : row.strengthChange;
    const tested = Number.isFinite(p);
    return [{
      title: placeName(row),
      lines: [`${several(tested ? donors : counted.length, "donor")}, ${several(row.cells, "cell")}`,
        ...(tested ? [`${signed(effect)} ${decades ? "a decade" : "old − young"} (${signed(low)} to ${signed(high)})`, `FDR ${pText(adjusted)}`] : ["not evaluable", ""])],
      trend: decades && tested ? { mean: /** @type {[number, number]} */ ([mean("age"), mean(what)]), effect, low, high } : null,
      dots: own.map((dot) => ({
        x: dot.age, y: dot[what], hollow: dot.cells < fewest, radius: 2.5 + 4 * Math.sqrt(dot.cells / most),
        text: `${dot.donor}: ${measure(dot.age)} years, ${several(dot.cells, "cell")}, ${measure(dot[what])}${dot.cells < fewest ? `, fewer than ${fewest} cells: not compared` : ""}`,
      })),
    }];
  });
  if (!drawn.length) return [];
  const said = what === "activity"
    ? `Activity in the sum of a donor's cells, beside the type's other donors; a dot a donor, its size the number of cells. Hollow: donors with fewer than ${fewest} cells, who are not compared.`
    : "Mean weight on the regulator's targets, each by its sign, in the donor's own cells; a dot a donor.";
  return [
    element("h3", {}, `${what === "activity" ? "Activity" : "Strength"} against age`),
    element("p", { class: "hint" }, said + (decades ? " The line is the slope a decade through the donors' mean, with its 95 % interval." : "")),
    chart((width) => smallMultiples(drawn, width, { label: `${what === "activity" ? "Activity" : "Strength"} of ${regulator} against age in ${several(drawn.length, "type")}; the numbers are in the tables below`, values: null }), `${file}_${what}`),
  ];
}

/** What was known of an edge before. @param {number} prior */
function priorText(prior) {
  return prior > 0 ? "activates" : prior < 0 ? "represses" : "not known";
}

/**
 * @param {Regulators} regulators
 * @param {string} regulator
 * @param {Edge[]} edges
 * @param {string | null} asked
 * @param {Act} act
 * @param {Record<string, unknown>} about
 * @param {string} file
 */
function targets(regulators, regulator, edges, asked, act, about, file) {
  const { networks } = regulators.told;
  const title = element("h3", {}, "Targets");
  if (!networks) return [title, element("p", {}, "Networks were not inferred: ", element("code", {}, "titin network"), " without ", element("code", {}, "--backend none"), " does it.")];
  const names = [...new Set(edges.map(placeName))].sort();
  if (!names.length) return [title, element("p", {}, "None of the strongest edges of a type is of this regulator.")];
  const most = (/** @type {string} */ name) => edges.filter((edge) => placeName(edge) === name).length;
  const place = names.includes(asked ?? "") ? /** @type {string} */ (asked) : [...names].sort((a, b) => most(b) - most(a))[0];
  const own = edges.filter((edge) => placeName(edge) === place);
  const rising = own.filter((edge) => edge.weight > 0).slice(0, COLOURED).map((edge) => edge.target);
  const elsewhere = asked !== null && asked !== place ? element("p", { class: "hint" }, visible(`Of ${asked} there are no edges of it.`)) : null;
  return [
    title, ...(elsewhere ? [elsewhere] : []),
    placeChoice(names, place, null, (comparison) => act.change({ comparison })),
    element("p", { class: "hint" }, visible(`${several(own.length, "gene")} that go with it in ${place}, ${several(own[0].donors, "donor")}, by ${networks.settings.backend}: weight in standard deviations of the gene for one of the regulator; `
      + `stability, the share of draws of donors in which the edge is among the strongest; correlation beside it. Change of the weight ${unitOf(regulators)}.`)),
    element("p", { class: "actions" }, rising.length ? element("button", { type: "button", id: "targets-map", onclick: () => act.map(rising) }, `Map coloured by the ${several(rising.length, "strongest target")} that rise with it`) : null),
    sheetTable("Targets", ["target", "map", "weight", "stability", "sign", "correlation", "known before", "change of weight", "95 % interval", "p", "FDR"].map((head, i) => ({ head, number: i > 1 && i !== 6 && i !== 4 })),
      own.slice(0, SHOWN).map((edge) => [
        element("button", { type: "button", class: "link", onclick: () => act.card(edge.target) }, visible(edge.target)),
        element("button", { type: "button", class: "link", "aria-label": visible(`Map coloured by ${edge.target}`), onclick: () => act.map([edge.target]) }, "map"),
        signed(edge.weight, 3), Number.isFinite(edge.stability) ? measure(edge.stability) : "–", edge.sign > 0 ? "+" : edge.sign < 0 ? "−" : "0", signed(edge.correlation), priorText(edge.prior), ...changeCells(edge)])),
    element("p", { class: "hint" }, own.length > SHOWN ? `The ${SHOWN} heaviest of ${count(own.length)}; all are in the CSV.` : ""),
    saveTable(`${file}_targets`, { ...about, ...(place ? { place } : {}) }, ["target", "cell_type", "protocol", "n_donors", "weight", "stability", "sign", "correlation", "prior", "difference", "ci_low", "ci_high", "p_value", "adj_p_value"],
      () => own.map((edge) => [edge.target, edge.type, edge.protocol, edge.donors, edge.weight, edge.stability, edge.sign, edge.correlation, edge.prior, ...changeValues(edge)])),
  ];
}

/** Types and protocols of which nothing can be said. @param {Regulators} regulators */
function skippedList(regulators) {
  const { activities, networks } = regulators.told;
  const rows = [["activity", activities], ["networks", networks]].flatMap(([what, told]) => (told?.skipped ?? []).map((/** @type {any} */ one) => [
    visible(placeName({ type: String(one.cell_type), protocol: String(one.protocol) })), String(what), count(Number(one.n_cells ?? 0)), visible(one.reason)]));
  if (!rows.length) return element("p", { hidden: true });
  return element("details", {}, element("summary", {}, `Not evaluable (${count(rows.length)})`),
    sheetTable("Not evaluable", [{ head: "type" }, { head: "of" }, { head: "cells", number: true }, { head: "why" }], rows));
}
