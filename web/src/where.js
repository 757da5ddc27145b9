// Conditions in words, as `--where` of the command line has them: read by the same grammar, and never run as code.

import { DataError } from "./bytes.js";

/** @typedef {{column: string, relation: string, value: string}} Comparison relation: one of = != > >= < <= */
/** @typedef {{word: "and" | "or", parts: Expression[]}} Joined */
/** @typedef {Comparison | Joined} Expression */

const HINT = 'write COLUMN=VALUE, such as sex=M, annotation=B cell, age=20..40, age>=60 or batch!=3; join them by and, or, not and brackets';
/** @type {Record<string, string>} */
const OPPOSITE = { "=": "!=", "!=": "=", ">": "<=", "<=": ">", ">=": "<", "<": ">=" };
const DEEPEST = 50; // brackets within brackets
const LONGEST = 10_000; // characters
const RELATION = "==|!=|>=|<=|=|>|<|(?<![\\p{L}\\p{N}_])(?:not\\s+)?in\\s*(?=[\\[(])";
const JOIN = "\\s(?:and|or)(?![\\p{L}\\p{N}_])";
const NAME = /\s*(?:"([^"]+)"|'([^']+)'|`([^`]+)`)\s*/uy;
const QUOTED = /\s*(?:"[^"]*"|'[^']*')\s*(?=$|,|\)|\]|and(?![\p{L}\p{N}_])|or(?![\p{L}\p{N}_]))/uy;
const NUMBER = "[-+]?(?:\\d+(?:\\.(?!\\.)\\d*)?|\\.\\d+)(?:[eE][-+]?\\d+)?";
const WHOLE_NUMBER = new RegExp(`^${NUMBER}$`);
const SPAN = new RegExp(`^(${NUMBER})?\\s*\\.\\.\\s*(${NUMBER})?$`);

/**
 * What a text says.
 * @param {string} text
 * @returns {Expression}
 */
export function readWhere(text) {
  return new Reader(text).whole();
}

/** Columns that it is of, each once. @param {Expression} expression @returns {string[]} */
export function columnsIn(expression) {
  return "parts" in expression ? [...new Set(expression.parts.flatMap(columnsIn))] : [expression.column];
}

/**
 * What holds where an expression does not; neither does where an entry that decides is missing.
 * @param {Expression} expression
 * @returns {Expression}
 */
function negated(expression) {
  return "parts" in expression
    ? { word: expression.word === "and" ? "or" : "and", parts: expression.parts.map(negated) }
    : { ...expression, relation: OPPOSITE[expression.relation] };
}

/** Values with commas between them; a comma between quotes is part of one. @param {string} text */
export function listed(text) {
  return [...text.matchAll(/(?<![^,])\s*("[^"]*"\s*(?=,|$)|'[^']*'\s*(?=,|$)|[^,]+)/gu)]
    .map(([, part]) => part.trim()).filter((part) => part).map(unquoted);
}

/** A number, or NaN. @param {string} text */
export function numberIn(text) {
  return WHOLE_NUMBER.test(text) ? Number(text) : NaN;
}

/** The ends of a span of numbers such as `20..40`, or null. @param {string} text @returns {[number, number] | null} */
export function spanIn(text) {
  const found = SPAN.exec(text);
  if (!found || (found[1] === undefined && found[2] === undefined)) return null;
  return [found[1] === undefined ? -Infinity : Number(found[1]), found[2] === undefined ? Infinity : Number(found[2])];
}

/** @param {string} text */
function unquoted(text) {
  return text.length > 1 && "\"'`".includes(text[0]) && text.indexOf(text[0], 1) === text.length - 1 ? text.slice(1, -1) : text;
}

/** Reads one text: conditions, `and`, `or`, `not` and brackets. */
class Reader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.depth = 0;
  }

  whole() {
    const found = this.text.length <= LONGEST ? this.any() : null;
    if (found === null || this.text.slice(this.at).trim()) throw this.misread();
    return found;
  }

  /** @returns {Expression} */
  any() {
    return this.joined("or", () => this.joined("and", () => this.one()));
  }

  /**
   * @param {"and" | "or"} word
   * @param {() => Expression} read
   * @returns {Expression}
   */
  joined(word, read) {
    const parts = [read()];
    while (this.takes(word)) parts.push(read());
    const flat = parts.flatMap((part) => ("parts" in part && part.word === word ? part.parts : [part]));
    return flat.length === 1 ? flat[0] : { word, parts: flat };
  }

  /** @returns {Expression} */
  one() {
    this.depth += 1;
    if (this.depth > DEEPEST) throw this.misread();
    /** @type {Expression} */
    let found;
    if (this.takes("not")) found = negated(this.one());
    else if (this.takes("(")) {
      found = this.any();
      if (!this.takes(")")) throw this.misread();
    } else found = this.condition();
    this.depth -= 1;
    return found;
  }

  /** @param {string} word */
  takes(word) {
    const rest = this.text.slice(this.at);
    const own = rest.trimStart();
    const after = own.slice(word.length, word.length + 1);
    if (!own.startsWith(word) || (/[a-z]/.test(word) && !(after === "(" || /\s/.test(after)))) return false;
    this.at += rest.length - own.length + word.length;
    return true;
  }

  /** @returns {Comparison} */
  condition() {
    const quoted = matchAt(NAME, this.text, this.at);
    const found = quoted ? matchAt(new RegExp(RELATION, "uy"), this.text, this.at + quoted[0].length) : searchFrom(RELATION, this.text, this.at);
    const column = quoted ? quoted[1] ?? quoted[2] ?? quoted[3] : this.text.slice(this.at, found?.index ?? 0);
    if (!found || !column.trim()) throw this.misread();
    let relation = found[0].trim();
    this.at = found.index + found[0].length;
    const value = relation.endsWith("in") ? this.list() : this.value();
    if (!value) throw this.misread();
    if (relation === "==" || relation === "in") relation = "=";
    else if (relation.startsWith("not")) relation = "!=";
    return { column: column.trim(), relation, value: unquoted(value) };
  }

  /** What stands between brackets. */
  list() {
    const { text } = this;
    const start = this.at + 1;
    let at = start;
    for (let go = "[(".includes(text[this.at]); go;) {
      const entry = matchAt(/\s*(?:"[^"]*"|'[^']*'|(?!\s)[^"'[\](),]+)\s*,?/uy, text, at);
      go = entry !== null;
      at += entry?.[0].length ?? 0;
    }
    if (at === start || !"])".includes(text[at] ?? "?")) throw this.misread();
    this.at = at + 1;
    return text.slice(start, at).trim().replace(/,+$/, "");
  }

  /** The text up to what cannot belong to it: a bracket of ours, or a word before another condition. */
  value() {
    const { text } = this;
    const start = this.at;
    let opened = 0;
    while (this.at < text.length) {
      const quoted = ["", ","].includes(text.slice(start, this.at).trimEnd().slice(-1)) ? matchAt(QUOTED, text, this.at) : null;
      if (quoted) {
        this.at += quoted[0].length;
        if (text[this.at] !== ",") break;
        this.at += 1;
        continue;
      }
      const letter = text[this.at];
      opened += Number(letter === "(") - Number(letter === ")");
      if (opened < 0 || (/\s/.test(letter) && this.endsHere())) break;
      this.at += 1;
    }
    return text.slice(start, this.at).trim();
  }

  /** Whether `and` or `or` stands here, and a condition behind it: a value may have such a word too. */
  endsHere() {
    const word = matchAt(new RegExp(JOIN, "uy"), this.text, this.at);
    const end = this.at + (word?.[0].length ?? 0);
    const after = word ? searchFrom(RELATION, this.text, end) : null;
    if (!after) return false;
    const column = this.text.slice(end, after.index);
    return column.trim() !== "" && searchFrom(JOIN, column, 0) === null;
  }

  misread() {
    return new DataError(`“${this.text.slice(0, 200)}” is no condition`, HINT);
  }
}

/** @param {RegExp} sticky @param {string} text @param {number} at */
function matchAt(sticky, text, at) {
  sticky.lastIndex = at;
  return sticky.exec(text);
}

/** @param {string} pattern @param {string} text @param {number} at */
function searchFrom(pattern, text, at) {
  return matchAt(new RegExp(pattern, "ug"), text, at);
}
