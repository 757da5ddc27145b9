// Genes that a type has more of than every other, found from donors' sums: a description of the labels, and no test.

import { levelOf } from "./ageing.js";
import { bytesOf, readLists } from "./lists.js";

/** @typedef {import("./ageing.js").Ageing} Ageing */
/** @typedef {{type: string, units: number[], levels: Float64Array, shares: Float64Array, differences: Float64Array, highest: Int32Array, shared: number[]}} TypeOf */
// differences are the least ones where above zero, and of no use where not
/** @typedef {{token: number, difference: number, other: string, donors: number, level: number, share: number, otherLevel: number, otherShare: number}} Marker */
/** @typedef {{types: TypeOf[], few: string[]}} Markers types that are compared, and those of too few donors */

export const FEWEST = 3; // donors of a type, and of both types of a difference
const COLUMNS = ["groups", "counts", "cells"];
const AT_ONCE = 6; // row groups

/** How many bytes are read for them. @param {Ageing} ageing */
export async function bytesOfMarkers(ageing) {
  return bytesOf(await ageing.table(), COLUMNS);
}

/**
 * How far each gene's level in a type lies above that in the type that comes nearest: for each other type the mean, over
 * the donors who have both, of the difference of their levels; the least of these is what stands.
 * @param {Ageing} ageing
 * @param {string} protocol
 * @param {(share: number) => void} [tell] how far it has come
 * @returns {Promise<Markers>}
 */
export async function findMarkers(ageing, protocol, tell = () => {}) {
  const table = await ageing.table();
  const { units, unitOf, types, few } = unitsOf(ageing, protocol, table.rows);
  const pairs = types.map((one) => types.map((other) => pairsOf(units, one, other)));
  types.forEach((one, t) => { one.shared = pairs[t].map(({ a }) => a.length); });
  const [own, detected, levels] = [new Float64Array(units.length), new Float64Array(units.length), new Float64Array(units.length)];
  const gene = (/** @type {number} */ token) => {
    for (let u = 0; u < units.length; u++) levels[u] = own[u] ? levelOf(own[u], units[u].counts) : 0;
    types.forEach((type) => {
      type.levels[token] = type.units.reduce((sum, u) => sum + levels[u], 0) / type.units.length;
      type.shares[token] = type.units.reduce((sum, u) => sum + detected[u] / units[u].cells, 0) / type.units.length;
    });
    for (let t = 0; t < types.length; t++) for (let o = t + 1; o < types.length; o++) compare(types, t, o, pairs[t][o], levels, token);
  };
  for (let from = 0; from < table.groups.length; from += AT_ONCE) {
    const some = table.groups.slice(from, from + AT_ONCE);
    const read = await Promise.all(some.map((group) => readLists(group, COLUMNS)));
    read.forEach(([groups, counts, cells], k) => {
      for (let row = 0; row + 1 < groups.starts.length; row++) {
        if (groups.starts[row] === groups.starts[row + 1]) continue; // no counts at all, or not measured by all studies
        own.fill(0);
        detected.fill(0);
        for (let i = groups.starts[row]; i < groups.starts[row + 1]; i++) {
          const unit = unitOf[groups.entries[i]];
          if (unit >= 0) { own[unit] += counts.entries[i]; detected[unit] += cells.entries[i]; }
        }
        gene(some[k].start + row);
      }
    });
    tell(Math.min(1, (from + AT_ONCE) / table.groups.length));
  }
  return { types, few };
}

/**
 * Markers of a type, the clearest first: genes whose level is above that in every other type.
 * @param {Markers} found
 * @param {string} type
 * @returns {Marker[] | null} null where the type has too few donors, or shares too few with any other
 */
export function markersOf({ types }, type) {
  const one = types.find((found) => found.type === type);
  if (!one?.shared.some((donors, o) => donors >= FEWEST && types[o] !== one)) return null;
  return Array.from(one.differences, (difference, token) => ({ difference, token })).filter(({ difference }) => difference > 0).map(({ difference, token }) => {
    const other = types[one.highest[token]];
    return {
      token, difference, other: other.type, donors: one.shared[one.highest[token]], level: one.levels[token], share: one.shares[token],
      otherLevel: other.levels[token], otherShare: other.shares[token],
    };
  }).sort((a, b) => b.difference - a.difference || a.token - b.token);
}

/** Types that a type is not compared with, as too few donors have both. @param {Markers} found @param {string} type */
export function notCompared({ types, few }, type) {
  const one = types.find((found) => found.type === type);
  return [...few, ...types.filter((other, o) => one && other !== one && one.shared[o] < FEWEST).map((other) => other.type)].filter((other) => other !== type).sort();
}

/**
 * Donors' cells of a type, as far as they are enough, and the types that have them from enough donors.
 * @param {Ageing} ageing
 * @param {string} protocol
 * @param {number} genes
 */
function unitsOf(ageing, protocol, genes) {
  const unitOf = new Int32Array(ageing.groups.length).fill(-1);
  /** @type {{type: string, donor: string, counts: number, cells: number}[]} */
  const units = [];
  const own = ageing.groups.filter((group) => group.protocol === protocol && group.cells >= ageing.fewest);
  for (const groups of Map.groupBy(own, (group) => JSON.stringify([group.type, group.donor])).values()) {
    for (const group of groups) unitOf[group.row] = units.length; // several only of a donor with several ages
    const sum = (/** @type {"counts" | "cells"} */ name) => groups.reduce((total, group) => total + group[name], 0);
    units.push({ type: groups[0].type, donor: groups[0].donor, counts: sum("counts"), cells: sum("cells") });
  }
  const byType = [...Map.groupBy(units.map((_, u) => u), (u) => units[u].type)].sort(([a], [b]) => (a < b ? -1 : 1));
  const numbers = () => new Float64Array(genes).fill(NaN);
  const types = byType.filter(([, own]) => own.length >= FEWEST).map(([type, own]) => /** @type {TypeOf} */ ({
    type, units: own, levels: numbers(), shares: numbers(), differences: numbers(), highest: new Int32Array(genes).fill(-1), shared: [],
  }));
  return { units, unitOf, types, few: byType.filter(([, own]) => own.length < FEWEST).map(([type]) => type) };
}

/**
 * Donors' cells of one type and of another, of the donors who have both.
 * @param {{donor: string}[]} units
 * @param {TypeOf} one
 * @param {TypeOf} other
 */
function pairsOf(units, one, other) {
  const theirs = new Map(other.units.map((u) => [units[u].donor, u]));
  const a = one.units.filter((u) => theirs.has(units[u].donor));
  return { a: Int32Array.from(a), b: Int32Array.from(a, (u) => /** @type {number} */ (theirs.get(units[u].donor))) };
}

/**
 * Keep the difference between two types where it is the least so far, on either side; of types that already lie below
 * another nothing more is asked, as the gene is no marker of theirs.
 * @param {TypeOf[]} types
 * @param {number} t
 * @param {number} o
 * @param {{a: Int32Array, b: Int32Array}} pairs
 * @param {Float64Array} levels
 * @param {number} token
 */
function compare(types, t, o, { a, b }, levels, token) {
  if (a.length < FEWEST || (types[t].differences[token] <= 0 && types[o].differences[token] <= 0)) return;
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += levels[a[i]] - levels[b[i]];
  const difference = sum / a.length;
  for (const [mine, other, value] of /** @type {const} */ ([[t, o, difference], [o, t, -difference]])) {
    const type = types[mine];
    if (type.differences[token] <= value) continue; // NaN: there is none yet
    type.differences[token] = value;
    type.highest[token] = other;
  }
}
