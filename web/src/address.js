// The state of the page in its address, and back: readable, and exact.

import { MOST_SAVED, readSelection } from "./selections.js";

export const PAGES = /** @type {const} */ (["map", "gene", "composition", "changes", "dots", "violins", "regulators", "results", "sets", "labels"]);

/**
 * @typedef {object} State
 * @property {string} projection
 * @property {import("./colouring.js").Colour[]} colours one for each panel
 * @property {import("./genes.js").Unit} unit
 * @property {import("./conditions.js").Condition[]} where cells that are shown
 * @property {import("./selections.js").Selection | null} selection
 * @property {import("./map.js").Place | null} view null shows all
 * @property {typeof PAGES[number]} page
 * @property {string | null} card gene that the page of a gene shows
 * @property {string[]} dots genes of the dot plot and the violins
 * @property {import("./violins.js").Grouping | null} grouping of the cells of the violins; null for the coarsest types
 * @property {string | null} label that is shown of them; null for that of most cells
 * @property {boolean} each whether every label is
 * @property {string | null} protocol that the dot plot shows
 * @property {boolean} split whether it shows young and old donors apart
 * @property {string | null} type whose donors the heat map shows
 * @property {boolean} scaled whether it shows z-scores
 * @property {import("./selections.js").Selection | null} a selections that were kept, to be compared
 * @property {import("./selections.js").Selection | null} b
 * @property {import("./selections.js").Selection[]} saved selections under their names
 * @property {string[] | "panel" | "all"} tested genes that are compared between them; all of them where a server does it
 * @property {string | null} regulator whose donors and targets the page of regulators shows
 * @property {string | null} comparison type and protocol that the page of changes shows
 * @property {string | null} level of cell types of what changes with age; null for the coarsest that the dataset holds
 */

/**
 * @param {State} state
 * @returns {string} what follows the # of the address
 */
export function toAddress(state) {
  const address = new URLSearchParams();
  address.set("projection", state.projection);
  for (const colour of state.colours) {
    if ("obs" in colour) address.append("obs", colour.obs);
    else if ("gene" in colour) address.append("gene", colour.gene);
    else address.append("genes", JSON.stringify(colour.genes));
  }
  address.set("order", state.colours.map((colour) => Object.keys(colour)[0]).join("."));
  if (state.unit !== "log") address.set("unit", state.unit);
  if (state.where.length) address.set("where", JSON.stringify(state.where));
  if (state.selection) address.set("selection", JSON.stringify(state.selection));
  if (state.view) address.set("view", [state.view.x, state.view.y, state.view.zoom].join("_"));
  if (state.page !== "map") address.set("page", state.page);
  if (state.card !== null) address.set("card", state.card);
  if (state.level !== null) address.set("level", state.level);
  if (state.comparison !== null) address.set("comparison", state.comparison);
  if (state.regulator !== null) address.set("regulator", state.regulator);
  if (state.dots.length) address.set("dots", JSON.stringify(state.dots));
  if (state.protocol !== null) address.set("protocol", state.protocol);
  if (state.grouping !== null) address.set("grouping", JSON.stringify(state.grouping));
  if (state.label !== null) address.set("label", state.label);
  if (state.each) address.set("each", "label");
  if (state.split) address.set("split", "young_old");
  if (state.type !== null) address.set("type", state.type);
  if (state.scaled) address.set("scaled", "z");
  for (const side of /** @type {const} */ (["a", "b"])) if (state[side]) address.set(side, JSON.stringify(state[side]));
  if (state.saved.length) address.set("saved", JSON.stringify(state.saved));
  if (state.tested.length) address.set("tested", Array.isArray(state.tested) ? JSON.stringify(state.tested) : state.tested);
  return address.toString();
}

/**
 * @param {string} text what follows the # of the address
 * @returns {Partial<State>} what it says; anything that makes no sense is passed over
 */
export function fromAddress(text) {
  const address = new URLSearchParams(text.replace(/^#/, ""));
  /** @type {Partial<State>} */
  const state = {};
  const projection = address.get("projection");
  if (projection) state.projection = projection;
  const lists = { obs: address.getAll("obs"), gene: address.getAll("gene"), genes: address.getAll("genes") };
  const order = address.get("order")?.split(".") ?? Object.entries(lists).flatMap(([kind, names]) => names.map(() => kind));
  /** @type {import("./colouring.js").Colour[]} */
  const colours = [];
  for (const kind of order) {
    const name = kind in lists ? lists[/** @type {keyof typeof lists} */ (kind)].shift() : undefined;
    if (name === undefined) continue;
    if (kind === "genes") {
      const genes = parse(name);
      if (Array.isArray(genes)) colours.push({ genes: genes.map(String) });
    } else colours.push(kind === "obs" ? { obs: name } : { gene: name });
  }
  if (colours.length) state.colours = colours.slice(0, 4);
  const unit = address.get("unit");
  if (unit === "log" || unit === "counts") state.unit = unit;
  const where = parse(address.get("where"));
  if (Array.isArray(where)) state.where = where.filter((condition) => typeof condition?.column === "string");
  for (const name of /** @type {const} */ (["selection", "a", "b"])) {
    const selection = readSelection(parse(address.get(name)));
    if (selection) state[name] = selection;
  }
  const saved = parse(address.get("saved"));
  if (Array.isArray(saved)) state.saved = savedIn(saved);
  const view = (address.get("view") ?? "").split("_").map(Number);
  if (view.length === 3 && view.every(Number.isFinite) && view[2] > 0) state.view = { x: view[0], y: view[1], zoom: view[2] };
  const page = PAGES.find((one) => one === address.get("page"));
  if (page) state.page = page;
  for (const name of /** @type {const} */ (["card", "level", "comparison", "regulator", "protocol", "type", "label"])) {
    const found = address.get(name);
    if (found) state[name] = found;
  }
  const dots = parse(address.get("dots"));
  if (Array.isArray(dots)) state.dots = dots.map(String);
  const grouping = parse(address.get("grouping"));
  if (grouping === "all" || grouping === "sets") state.grouping = grouping;
  else if (typeof grouping?.column === "string") state.grouping = { column: grouping.column };
  if (address.get("each") === "label") state.each = true;
  if (address.get("split") === "young_old") state.split = true;
  if (address.get("scaled") === "z") state.scaled = true;
  const tested = address.get("tested");
  const genes = parse(tested);
  if (tested === "panel" || tested === "all") state.tested = tested;
  else if (Array.isArray(genes)) state.tested = genes.map(String);
  return state;
}

/** Selections that have names, each name once. @param {any[]} found */
function savedIn(found) {
  const selections = found.flatMap((one) => readSelection(one) ?? []).filter(({ name }) => name);
  return [...new Map(selections.map((one) => [one.name, one])).values()].slice(0, MOST_SAVED);
}

/** @param {string | null} text @returns {any} */
function parse(text) {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
