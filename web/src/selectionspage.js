// The page of selections A and B: what they are, whose cells they have, and their genes compared on donors.

import { allGenesParts } from "./allgenes.js";
import { DataError } from "./bytes.js";
import { comparedParts } from "./comparedgenes.js";
import { compareGenes, prepareComparison } from "./comparison.js";
import { FEWEST_CELLS, FEWEST_DONORS, sayPlan, tallySide } from "./donorsides.js";
import { compareRemotely, remotePlace } from "./remote.js";
import { nameForm, savedPart } from "./saved.js";
import { OPERATIONS, canBeJoined, saySelection, sideName } from "./selections.js";
import { sheetTable } from "./sheet.js";
import { count, element, percent, sentence, several, visible } from "./text.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */
/** @typedef {import("./selections.js").Selection} Selection */
/** @typedef {import("./address.js").State} State */
/** @typedef {import("./comparison.js").Prepared} Prepared */
/** @typedef {"a" | "b" | "selection"} Place */
/** @typedef {{change: (change: Partial<State>) => void, keep: (place: Place, selection: Selection) => void, about: Record<string, unknown>}} Act */

const SIDES = /** @type {const} */ (["a", "b"]);
const MOST = 60; // genes that are named
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
  const names = { a: sideName(explorer.state, "a"), b: sideName(explorer.state, "b") };
  const tallies = { a: a && tallySide(a, { donors, protocols, types }), b: b && tallySide(b, { donors, protocols, types }) };
  return [
    element("h2", {}, "Selections A and B"),
    element("p", { class: "hint" }, "Select cells on the map (lasso, rectangle, a label of the legend, an expression) and keep them as A and as B; or write an expression here. Both are part of the page's address."),
    ...SIDES.flatMap((side) => oneSide(explorer, side, { tally: tallies[side], failure: failed[side] }, act)),
    joinForm(explorer, act),
    await savedPart(explorer, act),
    ...(a || b ? [...protocolTable(tallies, names), ...typeTable(tallies, names)] : []),
    element("h3", {}, `${visible(names.a)} against ${visible(names.b)}, on donors`),
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
  const title = visible(sideName(explorer.state, side));
  const text = element("input", {
    id: `words-${side}`, type: "text", "aria-label": `${name} by an expression`, placeholder: EXAMPLE, spellcheck: "false", autocomplete: "off",
    value: selection && "filter" in selection ? selection.filter : "",
  });
  const unnamed = tally && explorer.dataset.donor ? tally.all.cells - [...tally.all.donors.values()].reduce((sum, n) => sum + n, 0) : 0;
  return [
    element("h3", {}, tally ? `${title}: ${several(tally.all.cells, "cell")} of ${several(tally.all.donors.size, "donor")}` : selection ? title : `${name}: nothing yet`),
    ...(failure ? complaint(failure) : []),
    ...(selection ? [element("p", { id: `said-${side}` }, visible(shortened(saySelection(selection))))] : []),
    ...(unnamed ? [element("p", { class: "hint" }, `${several(unnamed, "cell")} without a donor ${unnamed === 1 ? "takes" : "take"} no part in comparisons.`)] : []),
    element("form", { class: "ask", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); if (text.value.trim()) act.keep(side, { filter: text.value.trim() }); } },
      text, element("button", { id: `set-${side}` }, `Set ${name}`),
      selection ? element("button", { type: "button", onclick: () => act.change({ page: "map", selection }) }, "Show on the map") : null,
      selection ? element("button", { type: "button", onclick: () => act.change({ [side]: null }) }, `Forget ${name}`) : null),
    ...(selection ? [/** @type {HTMLElement} */ (nameForm(explorer, side, act))] : []),
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

/** @param {{a: MaybeTally, b: MaybeTally}} tallies @param {{a: string, b: string}} sides what they are called */
function protocolTable({ a, b }, sides) {
  const names = [...new Set([a, b].flatMap((side) => [...side?.byProtocol.keys() ?? []]))].sort();
  const rows = names.map((name) => {
    const [x, y] = [a, b].map((side) => side?.byProtocol.get(name));
    const both = [...x?.donors.keys() ?? []].filter((donor) => y?.donors.has(donor)).length;
    return [visible(name === "all" ? "all cells" : name), ...[x, y].flatMap((side) => [count(side?.cells ?? 0), count(side?.donors.size ?? 0)]), count(both)];
  });
  return [element("h3", {}, "Donors by protocol"), sheetTable("Donors by protocol", ["protocol", ...[sides.a, sides.b].map(visible).flatMap((side) => [`cells of ${side}`, `donors of ${side}`]), "donors with both"].map((head, i) => ({ head, number: i > 0 })), rows)];
}

/** @param {{a: MaybeTally, b: MaybeTally}} tallies @param {{a: string, b: string}} sides what they are called */
function typeTable({ a, b }, sides) {
  const cells = (/** @type {string} */ name) => (a?.byType.get(name)?.cells ?? 0) + (b?.byType.get(name)?.cells ?? 0);
  const names = [...new Set([a, b].flatMap((side) => [...side?.byType.keys() ?? []]))].sort((x, y) => cells(y) - cells(x));
  if (!names.length) return [];
  const heads = ["type", ...[sides.a, sides.b].map(visible).flatMap((side) => [`cells of ${side}`, `share of ${side}`, `donors of ${side}`])];
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
      comparedParts(explorer.state, { ...await compareGenes(genes, prepared, asked, { signal, done: (n) => told("", n, asked.length) }), common: await genes.common() },
        { about: act.about, card: (card) => act.change({ page: "gene", card }) }));
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
  return allGenesParts(explorer.compared.result, { a: sideName(explorer.state, "a"), b: sideName(explorer.state, "b") }, { about: { ...act.about, a, b }, card: (card) => act.change({ page: "gene", card }) });
}
