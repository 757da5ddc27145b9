// The list of a type's markers: found on demand, sorted by any column, and taken into the list of genes.

import { bytesOfMarkers, FEWEST, findMarkers, markersOf, notCompared } from "./markers.js";
import { DataError } from "./bytes.js";
import { saveTable, sheetTable } from "./sheet.js";
import { count, element, measure, percent, several, visible } from "./text.js";

/** @typedef {import("./ageing.js").Ageing} Ageing */
/** @typedef {import("./genes.js").Genes} Genes */
/** @typedef {import("./markers.js").Marker} Marker */
/** @typedef {{work: Promise<void>, found: import("./markers.js").Markers | null, error: DataError | null, share: number}} Found */
/** @typedef {{key: keyof Marker | "gene", down: boolean}} Order */

const SHOWN = 100;
const TAKEN = 20; // genes that are taken into the list at once
const COLUMNS = /** @type {const} */ ([
  ["gene", "gene"], ["difference", "log2 above the highest other type"], ["other", "highest other type"], ["donors", "donors of both"],
  ["level", "mean log2(CPM + 1)"], ["share", "share of cells"], ["otherShare", "share in the other"]]);
const WORDS = /** @type {string[]} */ (["gene", "other"]);

/** @type {WeakMap<Ageing, Map<string, Found>>} */
const KEPT = new WeakMap(); // by protocol: what was read serves all types
/** @type {Order} */
let order = { key: "difference", down: true };

/**
 * The part of the page that shows them.
 * @param {Ageing} ageing
 * @param {Genes} genes
 * @param {{protocol: string, type: string, names: string[]}} asked names of the list of genes
 * @param {{change: (change: Partial<import("./address.js").State>) => void, about: Record<string, unknown>}} act
 */
export async function markerPart(ageing, genes, asked, act) {
  const { protocol, type } = asked;
  const bytes = await bytesOfMarkers(ageing);
  const place = element("div", { id: "markers" });
  const status = element("p", { class: "hint", role: "status" });
  const show = () => {
    const found = kept(ageing).get(protocol);
    status.textContent = !found || found.found || found.error ? "" : `Reading sums of donors: ${percent(found.share, 1)}.`;
    if (found?.error) place.replaceChildren(element("p", { class: "verdict" }, visible(found.error.message)), element("p", { class: "hint" }, visible(found.error.hint)), start);
    else if (found?.found) place.replaceChildren(...list(ageing, genes, markersOf(found.found, type), notCompared(found.found, type), asked, act, show));
    else place.replaceChildren(...(found ? [] : [start]));
  };
  const begin = () => {
    find(ageing, protocol);
    follow();
  };
  const follow = () => {
    show();
    const found = kept(ageing).get(protocol);
    if (!found || found.found || found.error) return;
    const ticking = setInterval(show, 250);
    found.work.finally(() => {
      clearInterval(ticking);
      show();
      if (document.activeElement === document.body && place.isConnected) document.getElementById("sort-difference")?.focus({ preventScroll: true });
    });
  };
  const start = element("button", { id: "find-markers", type: "button", onclick: begin }, `Find markers (reads ${(bytes / 1e6).toFixed(1)} MB)`);
  follow();
  return [
    element("h3", {}, `Markers of ${visible(type)}`),
    element("p", { class: "hint" }, `Genes whose level, log2 of 1 + counts per million of a donor's cells together, is higher than in every other type${protocol === "all" ? "" : ` of the protocol ${visible(protocol)}`}: of each other type the mean difference over the donors who have at least ${ageing.fewest} cells of both, ${FEWEST} donors at the least, and of these the smallest. `
      + "Level and share of cells are means over donors. This describes labels that were given by expression themselves, and tests nothing: there is no p."),
    status, place,
  ];
}

/** @param {Ageing} ageing */
function kept(ageing) {
  let own = KEPT.get(ageing);
  if (!own) KEPT.set(ageing, own = new Map());
  return own;
}

/** Start to find them. @param {Ageing} ageing @param {string} protocol */
function find(ageing, protocol) {
  /** @type {Found} */
  const found = { work: Promise.resolve(), found: null, error: null, share: 0 };
  found.work = findMarkers(ageing, protocol, (share) => { found.share = share; }).then(
    (markers) => { found.found = markers; },
    (error) => { found.error = error instanceof DataError ? error : new DataError(String(error), "load the page again"); });
  kept(ageing).set(protocol, found);
}

/**
 * @param {Ageing} ageing
 * @param {Genes} genes
 * @param {Marker[] | null} markers
 * @param {string[]} others types that are not compared
 * @param {{protocol: string, type: string, names: string[]}} asked
 * @param {{change: (change: Partial<import("./address.js").State>) => void, about: Record<string, unknown>}} act
 * @param {() => void} again draw anew
 */
function list(ageing, genes, markers, others, { protocol, type, names }, act, again) {
  const aside = others.length ? element("p", { class: "hint" }, visible(`Not compared with ${type}, as fewer than ${FEWEST} donors have both: ${others.join(", ")}.`)) : null;
  if (!markers) return [element("p", { class: "verdict" }, visible(`Not evaluable: fewer than ${FEWEST} donors have ${ageing.fewest} cells of ${type} and of another type.`)), ...(aside ? [aside] : [])];
  const named = markers.map((marker) => ({ ...marker, gene: nameOf(genes, marker.token) }));
  const rows = named.toSorted((a, b) => (order.down ? -1 : 1) * compare(a[order.key], b[order.key]));
  const heads = COLUMNS.map(([key, head]) => ({
    head, number: !WORDS.includes(key), order: { id: `sort-${key}`, sorted: order.key === key ? /** @type {const} */ (["ascending", "descending"])[Number(order.down)] : null, sort: () => {
      order = { key, down: order.key === key ? !order.down : !WORDS.includes(key) };
      again();
      document.getElementById(`sort-${key}`)?.focus({ preventScroll: true });
    } },
  }));
  const take = element("button", { id: "take-markers", type: "button", onclick: () => act.change({ dots: rows.slice(0, TAKEN).map(({ gene }) => gene) }) }, `Show the first ${Math.min(TAKEN, rows.length)} above`);
  const file = `markers_${[type, ...(protocol === "all" ? [] : [protocol])].join("_").replace(/[^\w.-]+/g, "_")}`;
  return [
    element("p", {}, `${several(rows.length, "gene")}${rows.length > SHOWN ? `, of which ${SHOWN} are shown` : ""}. A gene that is clicked joins the list of genes.`),
    element("div", { class: "actions" }, ...(rows.length ? [take] : []),
      saveTable(file, { ...act.about, protocol, cell_type: type }, ["gene", "gene_id", "log2_above_highest_other", "highest_other_type", "n_donors_of_both", "mean_log2_cpm_plus_1", "share_of_cells", "mean_log2_cpm_plus_1_other", "share_of_cells_other"],
        () => rows.map((row) => [genes.symbols[row.token], genes.ids[row.token], row.difference, row.other, row.donors, row.level, row.share, row.otherLevel, row.otherShare]))),
    sheetTable("Markers", heads, rows.slice(0, SHOWN).map((row) => [
      element("button", { type: "button", id: `marker-${row.token}`, class: "link", onclick: () => act.change({ dots: [...new Set([...names, row.gene])] }) }, visible(genes.symbols[row.token])),
      measure(row.difference), visible(row.other), count(row.donors), measure(row.level), percent(row.share, 1), percent(row.otherShare, 1)])),
    ...(aside ? [aside] : []),
  ];
}

/** A name by which a gene is found: its symbol, unless another gene has it too. @param {Genes} genes @param {number} token */
function nameOf(genes, token) {
  const symbol = genes.symbols[token];
  return genes.byName.get(symbol.toUpperCase()) === token ? symbol : genes.ids[token];
}

/** @param {string | number} a @param {string | number} b */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
