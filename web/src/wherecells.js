// Which cells an expression holds of: its columns are those of the cells and the parts that they play, as in Python.

import { DataError } from "./bytes.js";
import { MISSING } from "./dataset.js";
import { closestName } from "./search.js";
import { meanings, protocolOf, sexOf } from "./vocabulary.js";
import { columnsIn, listed, numberIn, readWhere, spanIn } from "./where.js";

/** @typedef {import("./dataset.js").Dataset} Dataset */
/** @typedef {import("./dataset.js").ColumnInfo} ColumnInfo */
/** @typedef {{info: ColumnInfo, role: string | null}} Meant a column, and the part that it is asked for as */

const ROLES = ["donor", "sample", "protocol", "chemistry", "sex", "study"];
const NAMED = 8; // most entries of a column in a sentence
const AGES = ["age_years", "age_numeric"]; // which titin has put beside the cells, the exact ones first

/**
 * Mark the cells of which an expression holds; never those that lack an entry that decides.
 * @param {Dataset} dataset
 * @param {string} text
 * @returns {Promise<Uint8Array>} 1 where it holds
 */
export async function cellsThat(dataset, text) {
  const expression = readWhere(text);
  /** @type {Map<string, Entries>} */
  const columns = new Map();
  for (const name of columnsIn(expression)) columns.set(name, await entriesOf(dataset, name));
  return holds(expression, columns, dataset.cells);
}

/** Whether a text is understood, of columns that there are. @param {Dataset} dataset @param {string} text */
export function isKnown(dataset, text) {
  try {
    for (const name of columnsIn(readWhere(text))) meantBy(dataset, name);
    return true;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}

/**
 * @param {import("./where.js").Expression} expression
 * @param {Map<string, Entries>} columns
 * @param {number} cells
 * @returns {Uint8Array}
 */
function holds(expression, columns, cells) {
  if (!("parts" in expression)) return /** @type {Entries} */ (columns.get(expression.column)).holds(expression);
  const parts = expression.parts.map((part) => holds(part, columns, cells));
  return Uint8Array.from({ length: cells }, (_, i) => Number(expression.word === "and" ? parts.every((part) => part[i]) : parts.some((part) => part[i])));
}

/**
 * The column that a name means: age in years, a level of types, a role, or a column by its own name.
 * @param {Dataset} dataset
 * @param {string} name
 * @returns {Meant}
 */
function meantBy(dataset, name) {
  const { columns, types } = dataset;
  const role = ROLES.includes(name) ? dataset.role(name) : null;
  const age = name === "age" ? ageColumn(dataset) : null;
  const level = types.find((column) => column.name === name);
  if (age) return { info: age, role: "age" };
  if (level) return { info: level, role: "cell_type" };
  if (role) return { info: role, role: name };
  const own = columns.find((column) => column.name === name);
  if (own) return { info: own, role: null };
  const known = [...ROLES.filter((one) => dataset.role(one)), ...(ageColumn(dataset) ? ["age"] : []), ...columns.map((column) => column.name)];
  const near = closestName(name, known);
  throw new DataError(`There is no column “${name}”`, `${near ? `did you mean ${near}? ` : ""}there are ${known.join(", ")}`);
}

/** Ages of the cells in years, or null. @param {Dataset} dataset */
export function ageColumn(dataset) {
  const derived = AGES.flatMap((name) => (dataset.manifest.obs?.derived?.[name] ? dataset.columns.filter(({ column }) => column === name) : []));
  if (derived.length) return derived[0];
  const own = dataset.role("age");
  return own?.kind === "numbers" ? own : null;
}

/** @param {Dataset} dataset @param {string} name */
async function entriesOf(dataset, name) {
  const meant = meantBy(dataset, name);
  const labels = meant.role !== null && meant.role !== "age"; // as in Python, donors that are numbered are no numbers
  const column = labels ? /** @type {import("./dataset.js").Labels} */ (await dataset.labels(meant.info)) : await dataset.read(meant.info);
  return column.kind === "numbers" ? new NumberEntries(name, column.values) : new LabelEntries(name, column, meant.role);
}

/** The cells' entries in one column, of which a comparison holds or not. */
class Entries {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
  }

  /** @param {import("./where.js").Comparison} _comparison @returns {Uint8Array} */
  holds(_comparison) {
    throw new Error("a column is of labels or of numbers");
  }
}

class NumberEntries extends Entries {
  /** @param {string} name @param {Float64Array} values */
  constructor(name, values) {
    super(name);
    this.values = values;
  }

  /** @param {import("./where.js").Comparison} comparison */
  holds({ relation, value }) {
    const test = relation === "=" || relation === "!=" ? this.among(value, relation === "!=") : this.compared(relation, value);
    return Uint8Array.from(this.values, (number) => Number(!Number.isNaN(number) && test(number)));
  }

  /** @param {string} relation @param {string} value @returns {(number: number) => boolean} */
  compared(relation, value) {
    const limit = numberIn(value);
    if (Number.isNaN(limit)) throw notNumbers(this.name, relation, value);
    if (relation === ">") return (number) => number > limit;
    if (relation === ">=") return (number) => number >= limit;
    return relation === "<" ? (number) => number < limit : (number) => number <= limit;
  }

  /** @param {string} text @param {boolean} without @returns {(number: number) => boolean} */
  among(text, without) {
    const spans = listed(text).map((value) => {
      const span = spanIn(value);
      if (span) return span;
      const number = numberIn(value);
      if (Number.isNaN(number)) throw new DataError(`“${this.name}” holds numbers, and “${value}” is none`, `write ${this.name}=20..40, or ${this.name}>=60`);
      return [number, number];
    });
    return (number) => spans.some(([low, high]) => number >= low && number <= high) !== without;
  }
}

class LabelEntries extends Entries {
  /** @param {string} name @param {import("./dataset.js").Labels} column @param {string | null} role */
  constructor(name, column, role) {
    super(name);
    this.codes = column.codes;
    const used = new Set(column.codes);
    const there = column.levels.filter((_, code) => used.has(code));
    const meant = role ? meanings(there, role) : null;
    /** @type {(string | null)[]} */
    this.entries = column.levels.map((level) => (meant ? meant.get(level) ?? null : level)); // by code; null for missing
    this.known = [...new Set(there.map((level) => (meant ? meant.get(level) : level)).filter((entry) => typeof entry === "string"))];
    this.meaning = name === "sex" ? sexOf : name === "protocol" ? protocolOf : () => null;
  }

  /** @param {import("./where.js").Comparison} comparison */
  holds({ relation, value }) {
    if (relation !== "=" && relation !== "!=") throw notNumbers(this.name, relation, value);
    const chosen = this.chosen(value, relation === "=");
    const wanted = this.entries.map((entry) => Number(entry !== null && chosen.has(entry) === (relation === "=")));
    return Uint8Array.from(this.codes, (code) => (code === MISSING ? 0 : wanted[code]));
  }

  /** @param {string} text @param {boolean} strict whether each value must be there */
  chosen(text, strict) {
    /** @type {Set<string>} */
    const chosen = new Set();
    for (const value of this.known.includes(text) ? [text] : listed(text)) {
      const meant = this.meaning(value);
      const found = this.known.includes(value) ? [value] : meant ? this.known.filter((entry) => this.meaning(entry) === meant) : [];
      if (!found.length && strict) {
        const near = closestName(value, this.known);
        throw new DataError(`No cell has “${value}” in “${this.name}”`,
          `${near ? `did you mean ${near}? ` : ""}it has ${[...this.known].sort().slice(0, NAMED).join(", ")}${this.known.length > NAMED ? " …" : ""}`);
      }
      for (const entry of found) chosen.add(entry);
    }
    return chosen;
  }
}

/** @param {string} name @param {string} relation @param {string} value */
function notNumbers(name, relation, value) {
  return new DataError(`“${name}${relation}${value}” compares no numbers`, `“${name}” and “${value}” must both be numbers; other entries are asked for as ${name}=ENTRY`);
}
