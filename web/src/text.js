// Text from a dataset is somebody else's: what would be obeyed or not be seen is written out, as titin.visible does.

const HIDDEN = new RegExp(
  "[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b\\u200e\\u200f"
  + "\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff0-\\ufffb\\ufffe\\uffff\\u{e0000}-\\u{e0fff}]", "gu");

/**
 * A text in which nothing is hidden.
 * @param {unknown} text
 */
export function visible(text) {
  return String(text).replace(HIDDEN, (found) => `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`);
}

const GROUPED = new Intl.NumberFormat("en"); // made once: tables have thousands of numbers

/**
 * A number with thousands separated.
 * @param {number} n
 */
export function count(n) {
  return GROUPED.format(n);
}

/**
 * A measurement with up to four digits.
 * @param {number} x
 */
export function measure(x) {
  return Number.isFinite(x) ? String(Number(x.toPrecision(4))) : "–";
}

/**
 * A share as percent: 3.4 %, 41 %, < 0.1 %.
 * @param {number} part
 * @param {number} of
 */
export function percent(part, of) {
  const share = of ? 100 * part / of : 0;
  if (share > 0 && share < 0.1) return "< 0.1 %";
  return `${share < 10 ? share.toFixed(1) : Math.round(share)} %`;
}

/**
 * A number and its noun: 1 cell, 2 cells.
 * @param {number} n
 * @param {string} noun
 */
export function several(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/**
 * Words with a capital and a full stop.
 * @param {string} words
 */
export function sentence(words) {
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
}

/**
 * An element with attributes, listeners (`onclick`) and children; text is text, never HTML.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}
