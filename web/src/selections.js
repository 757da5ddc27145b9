// Selections of cells as data: an outline on the map, conditions, an expression, or two of them joined.

import { cellsWhere, cellsWithin } from "./conditions.js";
import { cellsThat, isKnown } from "./wherecells.js";

/** @typedef {import("./conditions.js").Condition} Condition */
/** @typedef {"and" | "or" | "without"} Operation */
/**
 * An outline without a projection is one on the projection that is shown.
 * @typedef {({polygon: [number, number][], projection?: string} | {where: Condition[]} | {filter: string} | {join: Operation, of: [Selection, Selection]}) & {name?: string}} Selection
 */

export const OPERATIONS = /** @type {const} */ (["and", "or", "without"]);
const DEEPEST = 12; // selections within selections
export const MOST_SAVED = 20;
export const LONGEST_NAME = 60;

/**
 * A selection as an address has it; null for what is none.
 * @param {any} found
 * @returns {Selection | null}
 */
export function readSelection(found, depth = 0) {
  const selection = readUnnamed(found, depth);
  return selection && typeof found.name === "string" ? namedAs(selection, found.name) : selection;
}

/**
 * @param {any} found
 * @param {number} depth
 * @returns {Selection | null}
 */
function readUnnamed(found, depth) {
  if (isPolygon(found?.polygon)) return { polygon: found.polygon, ...(typeof found.projection === "string" ? { projection: found.projection } : {}) };
  if (Array.isArray(found?.where)) return { where: found.where.filter((/** @type {any} */ condition) => typeof condition?.column === "string") };
  if (typeof found?.filter === "string") return { filter: found.filter };
  const join = OPERATIONS.find((one) => one === found?.join);
  if (!join || !Array.isArray(found.of) || found.of.length !== 2 || depth >= DEEPEST) return null;
  const [left, right] = found.of.map((/** @type {any} */ one) => readSelection(one, depth + 1));
  return left && right ? { join, of: [left, right] } : null;
}

/**
 * A selection under a name, or without one where that is empty.
 * @param {Selection} selection
 * @param {string} name
 * @returns {Selection}
 */
export function namedAs({ name: _, ...selection }, name) {
  const text = name.trim().slice(0, LONGEST_NAME);
  return text ? { ...selection, name: text } : selection;
}

/** What a side is called: A, or A and its name. @param {import("./address.js").State} state @param {"a" | "b"} side */
export function sideName(state, side) {
  const name = state[side]?.name;
  return side.toUpperCase() + (name ? ` (${name})` : "");
}

/** @param {unknown} found */
function isPolygon(found) {
  return Array.isArray(found) && found.length > 2 && found.every((point) => Array.isArray(point) && point.length === 2 && point.every(Number.isFinite));
}

/** How deep joined selections lie in each other. @param {Selection} selection @returns {number} */
export function depthOf(selection) {
  return "of" in selection ? 1 + Math.max(...selection.of.map(depthOf)) : 0;
}

/** Whether another can be joined to it, and the address still be read. @param {Selection} selection */
export function canBeJoined(selection) {
  return depthOf(selection) < DEEPEST;
}

/**
 * Whether a dataset has all that a selection names.
 * @param {Selection} selection
 * @param {import("./dataset.js").Dataset} dataset
 * @returns {boolean}
 */
export function fits(selection, dataset) {
  if ("of" in selection) return selection.of.every((one) => fits(one, dataset));
  if ("filter" in selection) return isKnown(dataset, selection.filter);
  if ("where" in selection) return selection.where.every(({ column }) => dataset.columns.some(({ name }) => name === column));
  return selection.projection === undefined || dataset.projections.some(({ key }) => key === selection.projection);
}

/**
 * Mark its cells.
 * @param {Selection} selection
 * @param {import("./dataset.js").Dataset} dataset
 * @param {(projection: string | undefined) => Promise<Float32Array>} places of all cells on a projection
 * @returns {Promise<Uint8Array>} 1 for each of them
 */
export async function cellsOf(selection, dataset, places) {
  if ("polygon" in selection) return cellsWithin(await places(selection.projection), selection.polygon);
  if ("where" in selection) return cellsWhere(dataset, selection.where);
  if ("filter" in selection) return cellsThat(dataset, selection.filter);
  const [left, right] = await Promise.all(selection.of.map((one) => cellsOf(one, dataset, places)));
  const { join } = selection;
  return left.map((inside, i) => (join === "and" ? inside & right[i] : join === "or" ? inside | right[i] : inside & ~right[i]));
}

/** A selection in words. @param {Selection} selection @returns {string} */
export function saySelection(selection) {
  if ("filter" in selection) return selection.filter;
  if ("where" in selection) return selection.where.map(sayCondition).join(" and ") || "all cells";
  if ("polygon" in selection) return `within an outline${selection.projection ? ` on ${selection.projection.replace(/^X_/, "")}` : ""}`;
  const [left, right] = selection.of.map((one) => (one.name ? `“${one.name}”` : "of" in one || !("polygon" in one) ? `(${saySelection(one)})` : saySelection(one)));
  return `${left} ${selection.join} ${right}`;
}

/** @param {Condition} condition */
export function sayCondition({ column, is, not, from, to }) {
  if (is) return `${column} = ${is.join(", ")}`;
  if (not) return not.length > 3 ? `${column} without ${not.length}` : `${column} ≠ ${not.join(", ")}`;
  return `${column} = ${from ?? ""}..${to ?? ""}`;
}
