// The page of selections A and B: what they are, whose cells they have, and their genes compared on donors.

import { allGenesParts } from "./allgenes.js";
import { DataError } from "./bytes.js";
import { volcano } from "./charts.js";
import { compareGenes, prepareComparison } from "./comparison.js";
import { FEWEST_CELLS, FEWEST_DONORS, tallySide } from "./donorsides.js";
import { pText, signed } from "./genecard.js";
import { compareRemotely, remotePlace } from "./remote.js";
import { OPERATIONS, canBeJoined, saySelection } from "./selections.js";
import { chart, saveTable, sheetTable } from "./sheet.js";
import { sideCharts } from "./sidecharts.js";
import { count, element, measure, percent, sentence, several, visible } from "./text.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */
/** @typedef {import("./selections.js").Selection} Selection */
/** @typedef {import("./address.js").State} State */
/** @typedef {import("./comparison.js").Compared} Compared */
/** @typedef {import("./comparison.js").Prepared} Prepared */
/** @typedef {"a" | "b" | "selection"} Place */
/** @typedef {{change: (change: Partial<State>) => void, keep: (place: Place, selection: Selection) => void, about: Record<string, unknown>}} Act */

const SIDES = /** @type {const} */ (["a", "b"]);
const MOST = 60; // genes that are named
const DRAWN = 12; // genes with a chart of their own
const CLEAR = 0.05;
const EXAMPLE = 'Sex == "F" and age > 60';

/** Genes of the panel, by their names. @param {import("./genes.js").Genes} genes */
export function panelGenes(genes) {
  const names = Object.keys(genes.dataset.manifest.panel?.genes ?? {});
  return names.flatMap((name) => (genes.byName.has(name.toUpperCase()) ? [genes.find(name)] : []));
}

/**
 * Both selections, as far as they are kept, and who is on either side.
 * @param {Explorer} explorer
 */
export async function sidesOfState(explorer) {
  const [a, b] = await Promise.all(SIDES.map((side) => {
    const selection = explorer.state[side];
    return selection && explorer.maskOf(selection);
  }));
  return { a, b, prepared: a && b ? await prepareComparison(explorer.dataset, a, b) : null };
}

/**
 * @param {Explorer} explorer
 * @param {Act} act
 */
export async function selectionsPage(explorer, act) {
  const { dataset } = explorer;
  const [donors, protocols, types] = await Promise.all([dataset.donor, dataset.role("protocol"), dataset.types[0]].map((info) => dataset.labels(info)));
  const failed = { a: await failureOf(explorer, "a"), b: await failureOf(explorer, "b") };
  const { a, b, prepared } = failed.a || failed.b ? { a: null, b: null, prepared: null } : await sidesOfState(explorer);
  const tallies = { a: a && tallySide(a, { donors, protocols, types }), b: b && tallySide(b, { donors, protocols, types }) };
  return [
    element("h2", {}, "Selections A and B"),
    element("p", { class: "hint" }, "Select cells on the map (lasso, rectangle, a label of the legend, an expression) and keep them as A and as B; or write an expression here. Both are part of the page's address."),
    ...SIDES.flatMap((side) => oneSide(explorer, side, { tally: tallies[side], failure: failed[side] }, act)),
    joinForm(explorer, act),
    ...(a || b ? [...protocolTable(tallies), ...typeTable(tallies)] : []),
    element("h3", {}, "A against B, on donors"),
    ...(await comparisonPart(explorer, prepared, act)),
  ];
}

/**
 * Why a selection, which an address may have, cannot be found; null where it can.
 * @param {Explorer} explorer
 * @param {"a" | "b"} side
 */
async function failureOf(explorer, side) {
  const selection = explorer.state[side];
  try {
    if (selection) await explorer.maskOf(selection);
    return null;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return error;
  }
}

/** @typedef {ReturnType<typeof tallySide> | null} MaybeTally */

/**
 * @param {Explorer} explorer
 * @param {"a" | "b"} side
 * @param {{tally: MaybeTally, failure: unknown}} found
 * @param {Act} act
 */
function oneSide(explorer, side, { tally, failure }, act) {
  const selection = explorer.state[side];
  const name = side.toUpperCase();
  const text = element("input", {
    id: `words-${side}`, type: "text", "aria-label": `${name} by an expression`, placeholder: EXAMPLE, spellcheck: "false", autocomplete: "off",
    value: selection && "filter" in selection ? selection.filter : "",
  });
  const unnamed = tally && explorer.dataset.donor ? tally.all.cells - [...tally.all.donors.values()].reduce((sum, n) => sum + n, 0) : 0;
  return [
    element("h3", {}, tally ? `${name}: ${several(tally.all.cells, "cell")} of ${several(tally.all.donors.size, "donor")}` : selection ? name : `${name}: nothing yet`),
    ...(failure ? complaint(failure) : []),
    ...(selection ? [element("p", { id: `said-${side}` }, visible(shortened(saySelection(selection))))] : []),
    ...(unnamed ? [element("p", { class: "hint" }, `${several(unnamed, "cell")} without a donor ${unnamed === 1 ? "takes" : "take"} no part in comparisons.`)] : []),
    element("form", { class: "ask", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); if (text.value.trim()) act.keep(side, { filter: text.value.trim() }); } },
      text, element("button", { id: `set-${side}` }, `Set ${name}`),
      selection ? element("button", { type: "button", onclick: () => act.change({ page: "map", selection }) }, "Show on the map") : null,
      selection ? element("button", { type: "button", onclick: () => act.change({ [side]: null }) }, `Forget ${name}`) : null),
  ];
}

/** @param {string} text */
function shortened(text) {
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

/** A form that makes one selection of two. @param {Explorer} explorer @param {Act} act */
function joinForm(explorer, act) {
  const places = /** @type {[Place, string][]} */ ([["a", "A"], ["b", "B"], ["selection", "the selection on the map"]]);
  const choice = (/** @type {string} */ id, /** @type {string} */ label, /** @type {readonly (readonly [string, string])[]} */ options, /** @type {string} */ value) =>
    element("select", { id, "aria-label": label }, ...options.map(([key, text]) => element("option", { value: key, selected: key === value }, text)));
  const [target, left, word, right] = [
    choice("join-target", "What is made", places, "b"), choice("join-left", "First", places, "b"),
    choice("join-word", "Operation", OPERATIONS.map((one) => /** @type {const} */ ([one, one])), "without"), choice("join-right", "Second", places, "a")];
  const told = element("p", { class: "hint", role: "alert" });
  const of = (/** @type {string} */ place) => (place === "selection" ? explorer.current() : explorer.state[/** @type {"a" | "b"} */ (place)]);
  return element("form", {
    class: "ask joined", "aria-label": "Join selections",
    onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      const [x, y] = [of(left.value), of(right.value)];
      if (!x || !y) told.textContent = `There is nothing in ${places.find(([key]) => key === (x ? right.value : left.value))?.[1]}: keep a selection there first.`;
      else if (!canBeJoined(x) || !canBeJoined(y)) told.textContent = "These are joined of too many already.";
      else act.keep(/** @type {Place} */ (target.value), { join: /** @type {import("./selections.js").Operation} */ (word.value), of: [x, y] });
    },
  }, "Make ", target, " of ", left, word, right, element("button", { id: "join" }, "Make"), told);
}

/** @param {{a: MaybeTally, b: MaybeTally}} tallies */
function protocolTable({ a, b }) {
  const names = [...new Set([a, b].flatMap((side) => [...side?.byProtocol.keys() ?? []]))].sort();
  const rows = names.map((name) => {
    const [x, y] = [a, b].map((side) => side?.byProtocol.get(name));
    const both = [...x?.donors.keys() ?? []].filter((donor) => y?.donors.has(donor)).length;
    return [visible(name === "all" ? "all cells" : name), ...[x, y].flatMap((side) => [count(side?.cells ?? 0), count(side?.donors.size ?? 0)]), count(both)];
  });
  return [element("h3", {}, "Donors by protocol"), sheetTable("Donors by protocol", ["protocol", "cells of A", "donors of A", "cells of B", "donors of B", "donors with both"].map((head, i) => ({ head, number: i > 0 })), rows)];
}

/** @param {{a: MaybeTally, b: MaybeTally}} tallies */
function typeTable({ a, b }) {
  const cells = (/** @type {string} */ name) => (a?.byType.get(name)?.cells ?? 0) + (b?.byType.get(name)?.cells ?? 0);
  const names = [...new Set([a, b].flatMap((side) => [...side?.byType.keys() ?? []]))].sort((x, y) => cells(y) - cells(x));
  if (!names.length) return [];
  const heads = ["type", ...["A", "B"].flatMap((side) => [`cells of ${side}`, `share of ${side}`, `donors of ${side}`])];
  return [element("details", { open: true }, element("summary", {}, "Types"), sheetTable("Types", heads.map((head, i) => ({ head, number: i > 0 })), names.map((name) => [
    visible(name), ...[a, b].flatMap((side) => {
      const own = side?.byType.get(name);
      return [count(own?.cells ?? 0), percent(own?.cells ?? 0, side?.all.cells ?? 0), count(own?.donors.size ?? 0)];
    })])))];
}

/**
 * @param {Explorer} explorer
 * @param {Prepared | null} prepared
 * @param {Act} act
 */
async function comparisonPart(explorer, prepared, act) {
  if (!prepared) return [element("p", {}, "Keep both A and B to compare them.")];
  const { refusal, plans } = prepared;
  if (refusal) return [element("p", { class: "verdict" }, refusal)];
  const possible = plans.some(({ kind }) => kind);
  const said = element("ul", {}, ...plans.map((plan) => element("li", { class: "plan" }, sayPlan(plan))));
  if (!possible) return [element("p", { class: "verdict" }, "A and B cannot be compared on donors."), said];
  const genes = await explorer.genes();
  const { tested } = explorer.state;
  const named = Array.isArray(tested) ? tested : [];
  const remote = remotePlace();
  const text = element("input", { id: "tested-genes", type: "text", "aria-label": "Genes to compare", placeholder: "Names of genes, with spaces between", spellcheck: "false", autocomplete: "off", value: named.join(" ") });
  const unknown = named.filter((name) => !genes.byName.has(name.toUpperCase()));
  const panel = panelGenes(genes);
  const result = element("div", { id: "compared" });
  const asked = tested === "panel" ? panel
    : [...new Map(named.filter((name) => !unknown.includes(name)).map((name) => genes.find(name)).map((gene) => [gene.token, gene])).values()].slice(0, MOST);
  if (tested === "all" && remote) watch(result, 0, "Asking the server …", (work) => allGenes(explorer, remote, work, act));
  else if (asked.length) {
    watch(result, asked.length, `Comparing ${several(asked.length, "gene")} …`, async ({ signal, told }) =>
      resultParts(explorer, prepared, await compareGenes(genes, prepared, asked, { signal, done: (n) => told("", n, asked.length) }), act));
  }
  return [
    element("p", { class: "hint" }, `Donors are the replicates, never cells: of each donor's cells on a side the counts are summed, and what is compared is log2 of 1 + counts per million. The same donors are compared with themselves (paired t) where ${FEWEST_DONORS} or more have at least ${FEWEST_CELLS} cells on both sides, else different donors (Welch's t). Each protocol by itself.`),
    said,
    element("form", { class: "ask", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); act.change({ tested: text.value.split(/[\s,;]+/).filter(Boolean) }); } },
      text, element("button", { id: "compare" }, "Compare"),
      panel.length ? element("button", { id: "compare-panel", type: "button", onclick: () => act.change({ tested: "panel" }) }, `Compare the panel (${several(panel.length, "gene")})`) : null,
      remote ? element("button", { id: "compare-all", type: "button", onclick: () => act.change({ tested: "all" }) }, "Compare all genes") : null),
    element("p", { class: "hint" }, visible([...(unknown.length ? [`not found: ${unknown.join(", ")}`] : []), ...(named.length > MOST ? [`the first ${MOST} genes are compared`] : [])].map(sentence).join(" "))),
    result,
  ];
}

/** What of a protocol is compared, in words. @param {import("./donorsides.js").Plan} plan */
export function sayPlan({ protocol, kind, a, b, notes }) {
  const where = protocol === "all" ? "" : `${visible(protocol)}: `;
  const what = kind === "paired" ? `${several(a.length, "donor")} with both A and B, compared with themselves`
    : kind === "between" ? `${several(a.length, "donor")} of A against ${several(b.length, "donor")} of B: different people, who may differ in more than what they were selected by` : "not compared";
  return `${where}${[what, ...notes].join("; ")}.`;
}

/** What went wrong, and what to do. @param {unknown} error */
function complaint(error) {
  const { message, hint } = /** @type {import("./bytes.js").DataError} */ (error);
  return [element("p", { class: "verdict", role: "alert" }, visible(message)), element("p", { class: "hint" }, visible(hint ?? "load the page again"))];
}

/** @typedef {{signal: AbortSignal, told: (step: string, done: number, total: number) => void}} Work */

/**
 * Do something that takes a while, with a bar and a way out, and show what it gives.
 * @param {HTMLElement} place
 * @param {number} total of what is told; 0 where it is not known
 * @param {string} words
 * @param {(work: Work) => Promise<(Node | null)[]>} work
 */
async function watch(place, total, words, work) {
  const control = new AbortController();
  const bar = element("progress", { ...(total ? { max: total, value: 0 } : {}), "aria-label": "How far the comparison has come" });
  const said = element("p", { role: "status" }, words);
  let seen = false;
  place.replaceChildren(said, bar, " ", element("button", { type: "button", onclick: () => control.abort() }, "Cancel"));
  const told = (/** @type {string} */ step, /** @type {number} */ done, /** @type {number} */ of) => {
    if (step && said.textContent !== `${visible(step)} …`) said.textContent = `${visible(step)} …`;
    if (of) [bar.max, bar.value] = [of, done];
    else bar.removeAttribute("value");
    if (seen && !place.isConnected) control.abort(); // another page is shown by now
    seen = place.isConnected;
  };
  try {
    const parts = await work({ signal: control.signal, told });
    place.replaceChildren(...parts.filter((part) => part !== null));
    const live = document.getElementById("status"); // which was there before, so that it is read out
    if (live && place.isConnected) live.textContent = "The comparison is done.";
  } catch (error) {
    const again = element("button", { type: "button", onclick: () => watch(place, total, words, work) }, "Try again");
    if (control.signal.aborted) place.replaceChildren(element("p", { role: "status" }, "Cancelled."), again);
    else place.replaceChildren(...complaint(error), again);
  }
}

/**
 * All genes, as the server compares them; the last result is kept.
 * @param {Explorer} explorer
 * @param {string} place
 * @param {Work} work
 * @param {Act} act
 */
async function allGenes(explorer, place, work, act) {
  const { a, b } = explorer.state;
  const key = JSON.stringify([a, b, explorer.state.projection]);
  if (explorer.compared?.key !== key) {
    const masks = await sidesOfState(explorer);
    if (!masks.a || !masks.b) return [];
    explorer.compared = { key, result: await compareRemotely(place, masks.a, masks.b, work) };
  }
  return allGenesParts(explorer.compared.result, { about: { ...act.about, a, b }, card: (card) => act.change({ page: "gene", card }) });
}

/**
 * @param {Explorer} explorer
 * @param {Prepared} prepared
 * @param {Compared[]} found
 * @param {Act} act
 */
function resultParts({ state }, prepared, found, act) {
  const tests = { paired: "paired t over donors", between: "Welch's t over donors" };
  const about = { ...act.about, a: state.a, b: state.b, value: "log2(1 + counts per million of a donor's cells together)", adjustment: "Benjamini-Hochberg over the genes of a protocol" };
  return [
    element("p", { role: "status" }, `Compared: ${several(new Set(found.map(({ gene }) => gene.token)).size, "gene")}.`),
    ...prepared.plans.flatMap((plan) => {
      if (!plan.kind) return [];
      const rows = found.filter(({ protocol }) => protocol === plan.protocol).sort((x, y) => (Number.isNaN(x.p) ? 2 : x.p) - (Number.isNaN(y.p) ? 2 : y.p));
      return protocolParts(rows, plan, { ...about, protocol: plan.protocol, test: tests[plan.kind] }, act);
    }),
  ];
}

/**
 * @param {Compared[]} rows the clearest first
 * @param {import("./donorsides.js").Plan} plan
 * @param {Record<string, unknown>} about
 * @param {Act} act
 */
function protocolParts(rows, { protocol, kind, a, b }, about, act) {
  const clear = rows.filter((row) => row.adjusted < CLEAR);
  const title = protocol === "all" ? "" : ` in ${visible(protocol)}`;
  const file = `a_against_b_${protocol.replace(/[^\w.-]+/g, "_")}`;
  const interval = (/** @type {Compared} */ row) => (Number.isNaN(row.p) ? "–" : `${signed(row.low, 3)} to ${signed(row.high, 3)}`);
  const card = (/** @type {Compared} */ row) => act.change({ page: "gene", card: row.gene.id });
  const known = rows.filter((row) => !Number.isNaN(row.p));
  const dots = (/** @type {Compared} */ row) => row.donors.map((one) => ({ donor: one.donor, side: one.side, value: one.value, text: `${one.donor}, ${one.side.toUpperCase()}: ${several(one.cells, "cell")}, ${measure(one.value)}` }));
  return [
    element("h3", {}, `${kind === "paired" ? several(a.length, "donor") : `${several(a.length, "donor")} against ${b.length}`}${title}`),
    element("p", { class: "verdict" }, `${count(clear.length)} of ${several(rows.length, "gene")} ${clear.length === 1 ? "differs" : "differ"} with adjusted p < ${CLEAR}: ${count(clear.filter((row) => row.difference > 0).length)} higher in A, ${count(clear.filter((row) => row.difference < 0).length)} higher in B.`),
    ...(rows.length <= DRAWN
      ? [chart((width) => sideCharts(rows.map((row) => ({ title: row.gene.symbol, lines: [`${signed(row.difference, 3)} (${interval(row)})`, `adjusted p ${pText(row.adjusted)}`], dots: dots(row), paired: kind === "paired" })), width,
        `${several(rows.length, "gene")} of donors in A and B${title}; the numbers are in the tables below`), file)]
      : [chart((width) => volcano(known.map((row) => ({ effect: row.difference, p: row.p, adjusted: row.adjusted, name: row.gene.symbol })), width, {
        label: `Volcano plot of ${several(known.length, "gene")}, A against B${title}; the numbers are in the table below`, threshold: CLEAR, axis: "log2 difference, A less B", chosen: (i) => card(known[i]),
      }), file)]),
    sheetTable(`A against B${title}`, ["gene", "mean of A", "mean of B", "log2 difference, A less B", "95 % interval", "p", "adjusted p"].map((head, i) => ({ head, number: i > 0 })), rows.map((row) => [
      element("button", { type: "button", class: "link", onclick: () => card(row) }, visible(row.gene.symbol)), measure(row.meanA), measure(row.meanB), signed(row.difference, 3), interval(row), pText(row.p), pText(row.adjusted)])),
    element("p", { class: "hint" }, known.length < rows.length ? `${several(rows.length - known.length, "gene")} without p: of no counts, or the same in all donors.` : ""),
    saveTable(file, about, ["gene", "gene_id", "protocol", "donors_a", "donors_b", "mean_a", "mean_b", "log2_difference", "ci_low", "ci_high", "t", "df", "p_value", "adj_p_value"],
      () => rows.map((row) => [row.gene.symbol, row.gene.id, protocol, a.length, b.length, row.meanA, row.meanB, row.difference, row.low, row.high, row.t, row.df, row.p, row.adjusted])),
    element("details", {}, element("summary", {}, "Every donor as a table"),
      ...(rows.length <= DRAWN ? [sheetTable(`Donors of A and B${title}`, ["gene", "donor", "side", "cells", "counts", "log2(CPM + 1)"].map((head, i) => ({ head, number: i > 2 })),
        rows.flatMap((row) => row.donors.map((one) => [visible(row.gene.symbol), visible(one.donor), one.side.toUpperCase(), count(one.cells), count(one.counts), one.value.toFixed(3)])))] : []),
      saveTable(`${file}_donors`, about, ["gene", "gene_id", "protocol", "donor", "side", "n_cells", "counts", "counts_of_all_genes", "log2_cpm_plus_1"],
        () => rows.flatMap((row) => row.donors.map((one) => [row.gene.symbol, row.gene.id, protocol, one.donor, one.side.toUpperCase(), one.cells, one.counts, one.total, one.value])))),
  ];
}
