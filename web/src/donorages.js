// Ages of donors in years, and who of them is young: as titin.study.ages has both.

import { MISSING } from "./dataset.js";
import { quantile } from "./distribution.js";
import { namesOf } from "./donorsides.js";
import { ageColumn } from "./wherecells.js";

const [ABSOLUTE, RELATIVE] = [1e-8, 1e-5]; // how far apart gaps may be that count as equal, as numpy.isclose has it

/** @type {WeakMap<import("./dataset.js").Labels, Promise<Map<string, number>>>} */
const KNOWN = new WeakMap(); // by the column of donors

/**
 * The age of each donor: the median over its cells. NaN where it is not known.
 * @param {import("./dataset.js").Dataset} dataset
 * @param {import("./dataset.js").Labels} donors
 * @returns {Promise<Map<string, number>>}
 */
export function donorAges(dataset, donors) {
  const found = KNOWN.get(donors) ?? agesOf(dataset, donors);
  KNOWN.set(donors, found);
  found.catch(() => KNOWN.delete(donors));
  return found;
}

/**
 * @param {import("./dataset.js").Dataset} dataset
 * @param {import("./dataset.js").Labels} donors
 * @returns {Promise<Map<string, number>>}
 */
async function agesOf(dataset, donors) {
  const names = namesOf(donors, "donor");
  const info = ageColumn(dataset);
  const column = info ? await dataset.read(info) : null;
  /** @type {Map<string, number[]>} */
  const own = new Map(names.flatMap((name) => (name === null ? [] : [[name, []]])));
  if (column?.kind === "numbers") {
    donors.codes.forEach((code, cell) => {
      const name = code === MISSING ? null : names[code];
      if (name !== null && !Number.isNaN(column.values[cell])) own.get(name)?.push(column.values[cell]);
    });
  }
  return new Map([...own].map(([name, ages]) => [name, quantile(Float64Array.from(ages).sort(), 0.5)]));
}

/**
 * Years from which a donor is old: the middle of the widest gap that leaves a quarter of the donors on either side.
 * @param {Iterable<number>} ages one a donor
 * @returns {number | null} null for fewer than four donors, or where no such gap parts them
 */
export function ageCut(ages) {
  const values = [...ages].filter((age) => !Number.isNaN(age)).sort((a, b) => a - b);
  const least = Math.max(1, Math.ceil(values.length / 4));
  const allowed = values.slice(0, -1).map((age, i) => ({ gap: values[i + 1] - age, middle: age + (values[i + 1] - age) / 2 })).slice(least - 1, values.length - least);
  const widest = Math.max(0, ...allowed.map(({ gap }) => gap));
  if (values.length < 4 || !(widest > 0)) return null;
  const median = quantile(Float64Array.from(values), 0.5);
  const middles = allowed.filter(({ gap }) => Math.abs(gap - widest) <= ABSOLUTE + RELATIVE * widest).map(({ middle }) => middle);
  return middles.reduce((best, one) => (Math.abs(one - median) < Math.abs(best - median) ? one : best));
}
