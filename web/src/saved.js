// Names of selections, and those that are saved under one: listed, and taken as A, as B or to the map again.

import { LONGEST_NAME, MOST_SAVED, namedAs, saySelection } from "./selections.js";
import { sheetTable } from "./sheet.js";
import { count, element, several, visible } from "./text.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */
/** @typedef {import("./selections.js").Selection} Selection */
/** @typedef {import("./selectionspage.js").Act} Act */

/**
 * A form that names a side, and saves it.
 * @param {Explorer} explorer
 * @param {"a" | "b"} side
 * @param {Act} act
 */
export function nameForm(explorer, side, act) {
  const selection = explorer.state[side];
  if (!selection) return null;
  const letter = side.toUpperCase();
  const text = nameInput(`name-${side}`, `Name of ${letter}`, selection.name ?? "");
  const told = element("span", { class: "hint", role: "alert" });
  return element("form", { class: "ask", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); act.change({ [side]: namedAs(selection, text.value) }); } },
    text, element("button", { id: `set-name-${side}` }, `Name ${letter}`),
    element("button", { id: `save-${side}`, type: "button", onclick: () => {
      const named = namedAs(selection, text.value);
      const saved = withSaved(explorer.state.saved, named);
      if (typeof saved === "string") told.textContent = saved;
      else act.change({ [side]: named, saved });
    } }, `Save ${letter}`), told);
}

/** @param {string} id @param {string} label @param {string} value */
function nameInput(id, label, value) {
  return element("input", { id, type: "text", "aria-label": label, placeholder: "A name, such as old women", maxlength: LONGEST_NAME, spellcheck: "false", autocomplete: "off", value });
}

/**
 * The list with one more, which takes the place of one of its name; or why it cannot be.
 * @param {Selection[]} saved
 * @param {Selection} selection
 * @returns {Selection[] | string}
 */
export function withSaved(saved, selection) {
  if (!selection.name) return "Give it a name first.";
  const others = saved.filter(({ name }) => name !== selection.name);
  return others.length >= MOST_SAVED ? `There are ${MOST_SAVED} already: forget one first.` : [...others, selection];
}

/**
 * The part of the page that lists them.
 * @param {Explorer} explorer
 * @param {Act} act
 */
export async function savedPart(explorer, act) {
  const { saved } = explorer.state;
  const text = nameInput("name-selection", "Name of the selection on the map", explorer.current()?.name ?? "");
  const told = element("span", { class: "hint", role: "alert" });
  const form = element("form", { class: "ask", onsubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    const current = explorer.current();
    const next = current ? withSaved(saved, namedAs(current, text.value)) : "No cells are selected on the map.";
    if (typeof next === "string") told.textContent = next;
    else act.change({ saved: next });
  } }, text, element("button", { id: "save-selection" }, "Save the selection on the map"), told);
  const heads = ["name", "cells", "what it is", "take it"].map((head, i) => ({ head, number: i === 1 }));
  const rows = await Promise.all(saved.map((one, i) => row(explorer, one, i, act)));
  return element("details", { id: "saved", open: saved.length > 0 }, element("summary", {}, `Saved selections (${saved.length})`),
    element("p", { class: "hint" }, "They are part of the page's address, too."), form, ...(rows.length ? [sheetTable("Saved selections", heads, rows)] : []));
}

/**
 * @param {Explorer} explorer
 * @param {Selection} selection
 * @param {number} number in the list
 * @param {Act} act
 */
async function row(explorer, selection, number, act) {
  const cells = await explorer.sizeOf(selection);
  const button = (/** @type {string} */ text, /** @type {() => void} */ onclick) => element("button", { type: "button", onclick, "aria-label": `${text}: ${visible(selection.name ?? "")}` }, text);
  return [
    visible(selection.name ?? ""), cells === null ? "not found" : count(cells), visible(saySelection(selection).slice(0, 200)),
    element("span", { class: "actions" },
      button("As A", () => act.keep("a", selection)), button("As B", () => act.keep("b", selection)), button("Show on the map", () => act.change({ page: "map", selection })),
      button("Forget", () => act.change({ saved: explorer.state.saved.filter((_, i) => i !== number) }))),
  ];
}

/**
 * Rows of the legend: what is kept, each with its number of cells; a click selects them.
 * @param {Explorer} explorer
 * @param {(selection: Selection) => void} select
 */
export async function legendRows(explorer, select) {
  const { a, b, saved } = explorer.state;
  const kept = [...(a ? [{ letter: "A", selection: a }] : []), ...(b ? [{ letter: "B", selection: b }] : []), ...saved.map((selection) => ({ letter: "", selection }))];
  return Promise.all(kept.map(async ({ letter, selection }) => {
    const cells = await explorer.sizeOf(selection);
    const text = [letter, selection.name ?? (letter ? saySelection(selection).slice(0, 60) : "")].filter(Boolean).join(": ");
    return element("li", { class: "row kept" }, element("button", { type: "button", class: "pick", title: "Select these cells", onclick: () => select(selection) }, visible(text)),
      element("span", { class: "number", title: cells === null ? "not found" : several(cells, "cell") }, cells === null ? "–" : count(cells)));
  }));
}
