// Two selections as sides of donors: who has cells of either, what can be compared of them, and what cannot.

import { MISSING } from "./dataset.js";
import { several, visible } from "./text.js";
import { meanings } from "./vocabulary.js";

/** @typedef {import("./dataset.js").Labels} Labels */
/** @typedef {{donor: string, a: number, b: number}} DonorCells how many cells of A and of B */
/** @typedef {{protocol: string, donors: DonorCells[]}} ProtocolSides */
/** @typedef {{overlap: number, cells: [number, number], unnamed: number, protocols: ProtocolSides[]}} Sides unnamed: cells without a donor or protocol */
/**
 * What of a protocol is compared: the same donors on both sides (paired), different ones (between), or nothing.
 * @typedef {{protocol: string, kind: "paired" | "between" | null, a: string[], b: string[], notes: string[]}} Plan
 */

export const FEWEST_CELLS = 10; // of a donor on a side, for it to take part
export const FEWEST_DONORS = 3; // on either side
const ALL = "all"; // the protocol where the dataset has none
const NAMED = 6; // most donors in a sentence

/**
 * The names of a column's entries, by code; null for cells of no one in particular.
 * @param {Labels} column
 * @param {string} role
 */
export function namesOf(column, role) {
  const used = new Set(column.codes);
  const meant = meanings(column.levels.filter((_, code) => used.has(code)), role);
  return column.levels.map((level) => meant.get(level) ?? null);
}

/**
 * The group of every cell on its side, protocol and donor; -1 for cells of neither side.
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 * @param {Labels} donors
 * @param {Labels | null} protocols
 */
export function groupsOf(a, b, donors, protocols) {
  const [donorNames, protocolNames] = [namesOf(donors, "donor"), protocols ? namesOf(protocols, "protocol") : []];
  /** @type {Map<string, number>} */
  const numbers = new Map();
  /** @type {{side: "a" | "b", protocol: string, donor: string, cells: number}[]} */
  const groups = [];
  const codes = new Int32Array(a.length).fill(-1);
  let [overlap, unnamed] = [0, 0];
  for (let cell = 0; cell < a.length; cell++) {
    if (!a[cell] && !b[cell]) continue;
    if (a[cell] && b[cell]) overlap += 1;
    const code = donors.codes[cell];
    const donor = code === MISSING ? null : donorNames[code];
    const place = protocols?.codes[cell] ?? 0;
    const protocol = !protocols ? ALL : place === MISSING ? null : protocolNames[place];
    if (donor === null || protocol === null) {
      unnamed += 1;
      continue;
    }
    const side = a[cell] ? "a" : "b";
    const key = JSON.stringify([side, protocol, donor]);
    let number = numbers.get(key);
    if (number === undefined) {
      number = groups.push({ side, protocol, donor, cells: 0 }) - 1;
      numbers.set(key, number);
    }
    groups[number].cells += 1;
    codes[cell] = number;
  }
  return { groups, codes, overlap, unnamed };
}

/**
 * Donors of two selections, by protocol.
 * @param {ReturnType<typeof groupsOf>} found
 * @param {[number, number]} cells
 * @returns {Sides}
 */
export function sidesOf({ groups, overlap, unnamed }, cells) {
  const protocols = [...Map.groupBy(groups, (group) => group.protocol)].sort(([x], [y]) => (x < y ? -1 : 1)).map(([protocol, own]) => ({
    protocol,
    donors: [...Map.groupBy(own, (group) => group.donor)].sort(([x], [y]) => (x < y ? -1 : 1)).map(([donor, parts]) => ({
      donor, a: parts.find(({ side }) => side === "a")?.cells ?? 0, b: parts.find(({ side }) => side === "b")?.cells ?? 0,
    })),
  }));
  return { overlap, unnamed, cells, protocols };
}

/**
 * Why two selections cannot be compared at all; null where some protocol may allow it.
 * @param {Sides} sides
 * @returns {string | null}
 */
export function refusalOf({ overlap, cells: [a, b], protocols }) {
  if (!a || !b) return `${!a && !b ? "Neither A nor B has" : `${a ? "B" : "A"} has no`} cells${!a && !b ? "" : ": nothing is selected by it"}.`;
  if (overlap) return `A and B overlap: ${several(overlap, "cell")} ${overlap === 1 ? "is" : "are"} in both, and no cell can stand on both sides of a comparison. Make B of “B without A”, for example.`;
  const donors = new Set(protocols.flatMap((one) => one.donors.map(({ donor }) => donor)));
  if (!donors.size) return "No cell of A and B has a donor: donors are what is compared.";
  if (donors.size === 1) return `All these cells are of one donor, ${visible([...donors][0])}: its cells are no replicates of each other, and nothing can be said beyond this one person.`;
  const [ofA, ofB] = /** @type {const} */ (["a", "b"]).map((side) => protocols.filter((one) => one.donors.some((donor) => donor[side])).map(({ protocol }) => protocol));
  if (!ofA.some((protocol) => ofB.includes(protocol))) {
    return `A lies in the protocol ${visible(ofA.join(", "))}, B in ${visible(ofB.join(", "))}: what differs between protocols cannot be told from what differs between A and B, and protocols are not pooled.`;
  }
  return null;
}

/**
 * What is compared in each protocol, and who takes no part.
 * @param {Sides} sides
 * @returns {Plan[]}
 */
export function planOf({ protocols }) {
  return protocols.map(({ protocol, donors }) => {
    const ofA = donors.filter(({ a }) => a >= FEWEST_CELLS).map(({ donor }) => donor);
    const ofB = donors.filter(({ b }) => b >= FEWEST_CELLS).map(({ donor }) => donor);
    const both = ofA.filter((donor) => ofB.includes(donor));
    const [onlyA, onlyB] = [ofA.filter((donor) => !both.includes(donor)), ofB.filter((donor) => !both.includes(donor))];
    const few = donors.filter(({ a, b }) => (a && a < FEWEST_CELLS) || (b && b < FEWEST_CELLS)).length;
    const notes = few ? [`${several(few, "donor")} with fewer than ${FEWEST_CELLS} cells on a side ${few === 1 ? "takes" : "take"} no part there`] : [];
    if (both.length >= FEWEST_DONORS) {
      const alone = onlyA.length + onlyB.length;
      if (alone) notes.push(`${several(alone, "donor")} with one side alone left out: donors are compared with themselves`);
      return { protocol, kind: /** @type {const} */ ("paired"), a: both, b: both, notes };
    }
    if (onlyA.length >= FEWEST_DONORS && onlyB.length >= FEWEST_DONORS) {
      if (both.length) notes.push(`${both.length === 1 ? "1 donor" : `${both.length} donors`} with both sides left out (${visible(both.join(", "))}): too few for pairs, and on no side alone`);
      return { protocol, kind: /** @type {const} */ ("between"), a: onlyA, b: onlyB, notes };
    }
    const told = (/** @type {string[]} */ names) => (names.length ? `${names.length} (${visible(names.slice(0, NAMED).join(", "))}${names.length > NAMED ? " …" : ""})` : "none");
    const why = `too few donors with at least ${FEWEST_CELLS} cells: ${told(both)} with both A and B, ${told(onlyA)} with A alone, ${told(onlyB)} with B alone; `
      + `a comparison needs ${FEWEST_DONORS} with both, or ${FEWEST_DONORS} on either side`;
    return { protocol, kind: null, a: [], b: [], notes: [why, ...notes] };
  });
}

/** What of a protocol is compared, in words. @param {Plan} plan */
export function sayPlan({ protocol, kind, a, b, notes }) {
  const where = protocol === "all" ? "" : `${visible(protocol)}: `;
  const what = kind === "paired" ? `${several(a.length, "donor")} with both A and B, compared with themselves`
    : kind === "between" ? `${several(a.length, "donor")} of A against ${several(b.length, "donor")} of B: different people, who may differ in more than what they were selected by` : "not compared";
  return `${where}${[what, ...notes].join("; ")}.`;
}

/**
 * Cells and donors of one selection, by protocol and by type; cells without a donor count as cells.
 * @param {Uint8Array} mask
 * @param {{donors: Labels | null, protocols: Labels | null, types: Labels | null}} columns
 */
export function tallySide(mask, { donors, protocols, types }) {
  const names = [[donors, "donor"], [protocols, "protocol"], [types, "cell_type"]].map(([column, role]) => (column ? namesOf(/** @type {Labels} */ (column), String(role)) : []));
  const at = (/** @type {Labels | null} */ column, /** @type {number} */ k, /** @type {number} */ cell) =>
    (column && column.codes[cell] !== MISSING ? names[k][column.codes[cell]] : null);
  const all = new Tally();
  /** @type {Map<string, Tally>[]} */
  const [byProtocol, byType] = [new Map(), new Map()];
  const add = (/** @type {Map<string, Tally>} */ map, /** @type {string} */ name, /** @type {string | null} */ donor) => {
    if (!map.has(name)) map.set(name, new Tally());
    map.get(name)?.add(donor);
  };
  for (let cell = 0; cell < mask.length; cell++) {
    if (!mask[cell]) continue;
    const donor = at(donors, 0, cell);
    all.add(donor);
    add(byProtocol, protocols ? at(protocols, 1, cell) ?? "not known" : ALL, donor);
    if (types) add(byType, at(types, 2, cell) ?? "not known", donor);
  }
  return { all, byProtocol, byType };
}

class Tally {
  cells = 0;
  /** @type {Map<string, number>} */
  donors = new Map(); // cells of each

  /** @param {string | null} donor */
  add(donor) {
    this.cells += 1;
    if (donor !== null) this.donors.set(donor, (this.donors.get(donor) ?? 0) + 1);
  }
}
