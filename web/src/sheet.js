// A page beside the map: its text, charts and tables, redrawn when the width or the colours of the screen change.

import { element } from "./text.js";
import { save, tableBlob } from "./exports.js";

/** @typedef {{head: string, number?: boolean, order?: Order}} Head */
/** @typedef {{id: string, sorted: "ascending" | "descending" | null, sort: () => void}} Order of the rows by a column, where they can be sorted */

/**
 * A table with its heads; a cell is text, or a button that does something.
 * @param {string} caption
 * @param {Head[]} heads
 * @param {(string | number | HTMLElement)[][]} rows
 */
export function sheetTable(caption, heads, rows) {
  const classes = heads.map(({ number }) => (number ? "number" : ""));
  const box = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption });
  box.append(element("table", {},
    element("caption", { class: "sr" }, caption),
    element("thead", {}, element("tr", {}, ...heads.map(({ head, order }, i) => element("th", { scope: "col", class: classes[i], "aria-sort": order?.sorted },
      order ? element("button", { type: "button", id: order.id, class: "link", onclick: order.sort }, `${head}${order.sorted ? (order.sorted === "ascending" ? " ▲" : " ▼") : ""}`) : head)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, i) => {
      const shown = cell instanceof HTMLElement ? cell : String(cell);
      return i ? element("td", { class: classes[i] }, shown) : element("th", { scope: "row", class: classes[i] }, shown);
    }))))));
  return box;
}

/**
 * What is folded away, and made when it is first opened.
 * @param {string} summary
 * @param {() => Node[]} make
 */
export function folded(summary, make) {
  const place = element("details", {}, element("summary", {}, summary));
  place.addEventListener("toggle", () => place.append(...make()), { once: true });
  return place;
}

/**
 * A chart that is drawn for the width of the page, with what saves it.
 * @param {(width: number) => SVGSVGElement} draw
 * @param {string} name of the file
 */
export function chart(draw, name) {
  const place = element("div", { class: "chart", tabindex: 0, role: "group", "aria-label": "Chart" }); // wider than the page, it is moved by the keyboard
  let drawn = 0;
  const redraw = () => {
    const width = Math.floor(place.clientWidth);
    if (width && width !== drawn) {
      drawn = width;
      place.replaceChildren(draw(width));
    }
  };
  new ResizeObserver(redraw).observe(place);
  const button = element("button", {
    type: "button", onclick: () => save(`${name}.svg`, new Blob([new XMLSerializer().serializeToString(/** @type {Node} */ (place.firstChild))], { type: "image/svg+xml" })),
  }, "Save figure (SVG)");
  return element("div", {}, place, button);
}

/**
 * A button that saves a table as CSV.
 * @param {string} name
 * @param {Record<string, unknown>} about
 * @param {string[]} heads
 * @param {() => Iterable<unknown[]>} rows
 */
export function saveTable(name, about, heads, rows) {
  return element("button", { type: "button", onclick: () => save(`${name}.csv`, tableBlob(about, heads, rows())) }, "Save table (CSV)");
}
