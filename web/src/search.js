// The search box: genes by symbol or id, columns of the cells, and pasted lists of genes.

import { element, several, visible } from "./text.js";

const MOST = 12;

/** @typedef {import("./colouring.js").Colour} Colour */
/** @typedef {{text: string, note: string, colour: Colour}} Suggestion */

/**
 * What a text may mean, the best first.
 * @param {string} text
 * @param {import("./genes.js").Genes} genes
 * @param {import("./dataset.js").ColumnInfo[]} columns
 * @returns {Suggestion[]}
 */
export function suggest(text, genes, columns) {
  const list = text.split(/[\s,;]+/).filter(Boolean);
  if (list.length > 1) {
    const known = list.filter((name) => genes.byName.has(name.toUpperCase()));
    const unknown = list.filter((name) => !genes.byName.has(name.toUpperCase()));
    if (known.length > 1) {
      return [{ text: `Mean of ${known.length} genes`, note: unknown.length ? `not found: ${unknown.join(", ")}` : "z-scores", colour: { genes: known } }];
    }
  }
  const wanted = text.trim().toUpperCase();
  if (!wanted) return columns.map((column) => ({ text: column.name, note: "column", colour: /** @type {Colour} */ ({ obs: column.name }) })).slice(0, MOST);
  /** @type {[number, Suggestion][]} */
  const found = [];
  const add = (/** @type {number} */ rank, /** @type {Suggestion} */ suggestion) => rank >= 0 && found.push([rank, suggestion]);
  const rank = (/** @type {string} */ name) => {
    const at = name.toUpperCase().indexOf(wanted);
    return at < 0 ? -1 : at > 0 ? 2 : name.length === wanted.length ? 0 : 1;
  };
  for (const column of columns) add(rank(column.name), { text: column.name, note: "column", colour: { obs: column.name } });
  for (let token = 0; token < genes.symbols.length; token++) {
    const [symbol, id] = [genes.symbols[token], genes.ids[token]];
    const best = rank(symbol);
    const key = genes.byName.get(symbol.toUpperCase()) === token ? symbol : id; // of genes of one symbol, by id
    if (best >= 0) add(best, { text: symbol, note: id === symbol ? "gene" : id, colour: { gene: key } });
    else if (wanted.length > 3 && id.toUpperCase().startsWith(wanted)) add(1, { text: symbol, note: id, colour: { gene: key } });
  }
  for (const [alias, token] of genes.aliases) {
    if (rank(alias) === 0 || rank(alias) === 1) add(1, { text: genes.symbols[token], note: `also ${alias}`, colour: { gene: genes.ids[token] } });
  }
  if (!found.length) {
    return nearNames(wanted, genes.symbols).map((symbol) => ({ text: symbol, note: "did you mean this gene?", colour: { gene: symbol } }));
  }
  return found.sort(([a, x], [b, y]) => a - b || x.text.length - y.text.length || x.text.localeCompare(y.text)).slice(0, MOST).map(([, one]) => one);
}

/**
 * Names within two changes of letters.
 * @param {string} wanted in capitals
 * @param {string[]} names
 */
export function nearNames(wanted, names) {
  const most = wanted.length < 4 ? 1 : 2;
  return names
    .filter((name) => Math.abs(name.length - wanted.length) <= most)
    .map((name) => /** @type {[number, string]} */ ([changes(wanted, name.toUpperCase()), name]))
    .filter(([n]) => n <= most)
    .sort((a, b) => a[0] - b[0])
    .slice(0, 5)
    .map(([, name]) => name);
}

/**
 * The name that is written most alike, whatever the capitals; null where none is near.
 * @param {string} wanted
 * @param {string[]} names
 * @returns {string | null}
 */
export function closestName(wanted, names) {
  const share = (/** @type {string} */ one, /** @type {string} */ other) => changes(one, other) / Math.max(one.length, other.length, 1);
  const near = names.map((name) => /** @type {const} */ ([share(wanted.toUpperCase(), name.toUpperCase()), name, share(wanted, name)])).sort((x, y) => x[0] - y[0] || x[2] - y[2])[0];
  return near && near[0] <= 0.4 ? near[1] : null;
}

/** @param {string} a @param {string} b */
function changes(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

/**
 * Make a search box of an input and the list below it.
 * @param {HTMLInputElement} input
 * @param {HTMLElement} list
 * @param {(text: string) => Promise<Suggestion[]>} find
 * @param {(colour: Colour, text: string) => void} choose
 */
export function searchBox(input, list, find, choose) {
  /** @type {Suggestion[]} */
  let offered = [];
  let chosen = -1;
  let asked = 0;
  const close = () => {
    list.replaceChildren();
    list.hidden = true;
    offered = [];
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const mark = (/** @type {number} */ i) => {
    chosen = i;
    [...list.children].forEach((option, k) => option.setAttribute("aria-selected", String(k === i)));
    if (i >= 0) {
      input.setAttribute("aria-activedescendant", `suggestion-${i}`);
      list.children[i].scrollIntoView({ block: "nearest" });
    }
  };
  const take = (/** @type {number} */ i) => {
    const suggestion = offered[i];
    if (!suggestion) return;
    close();
    input.value = "";
    choose(suggestion.colour, suggestion.text);
  };
  const offer = async () => {
    const turn = ++asked;
    const found = await find(input.value);
    if (turn !== asked || document.activeElement !== input) return;
    offered = found;
    list.replaceChildren(...found.map((suggestion, i) => element(
      "li", { role: "option", id: `suggestion-${i}`, onpointerdown: (/** @type {Event} */ event) => { event.preventDefault(); take(i); } },
      visible(suggestion.text), element("small", {}, visible(suggestion.note)))));
    if (!found.length) list.replaceChildren(element("li", { role: "option", "aria-disabled": "true" }, "No gene or column of this name"));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    mark(found.length ? 0 : -1);
  };
  input.addEventListener("input", offer);
  input.addEventListener("focus", offer);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", async (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!offered.length) await offer();
      else mark((chosen + (event.key === "ArrowDown" ? 1 : offered.length - 1)) % offered.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!offered.length) await offer();
      take(Math.max(0, chosen));
    } else if (event.key === "Escape") close();
  });
}

/** @param {number} n */
export function placeholder(n) {
  return n ? `Search ${several(n, "gene")}` : "Search genes";
}
