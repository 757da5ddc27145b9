// What leaves the page: pictures and tables, each with the dataset, its revision, the filter and how many cells and donors.

import { MISSING } from "./dataset.js";
import { groupRows } from "./groups.js";
import { sayCondition } from "./selections.js";
import { several, visible } from "./text.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */

const FORMULA = /^'*(?:[\t\r\n]|[\s\u0000-\u0020\u200b\ufeff]*[=+\-@＝＋－＠])/;
const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;

/** What is shown, in data. @param {Explorer} explorer */
export async function provenance(explorer) {
  const { dataset, state } = explorer;
  const { cells, donors } = await explorer.counts();
  return {
    dataset: dataset.manifest.prefix, source_sha256: dataset.manifest.source?.sha256 ?? null, projection: state.projection,
    colours: state.colours, unit: state.unit, where: state.where, selection: state.selection, cells, donors,
  };
}

/** The same in a line for people. @param {Explorer} explorer */
async function caption(explorer) {
  const { dataset, state } = explorer;
  const { cells, donors } = await explorer.counts();
  return [
    `${dataset.manifest.prefix}, source ${dataset.revision}`, state.projection.replace(/^X_/, ""),
    (state.selection?.name ? `“${state.selection.name}”, ` : "") + several(cells, state.selection ? "selected cell" : "cell") + (donors === null ? "" : ` of ${several(donors, "donor")}`),
    ...state.where.map(sayCondition),
  ].map(visible).join(" · ");
}

/**
 * @param {string} name
 * @param {Blob} content
 */
export function save(name, content) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** @param {Explorer} explorer @param {string} ending */
function fileName(explorer, ending) {
  const titles = explorer.shown.map((shown) => shown.title.replace(/[^\w.-]+/g, "_").slice(0, 40)).join("-");
  return `${explorer.dataset.manifest.prefix}_${explorer.state.projection}_${titles}${ending}`;
}

/**
 * One entry of a CSV for people: nothing that a spreadsheet would compute, as titin.spreadsheet has it.
 * @param {unknown} value
 */
export function entry(value) {
  if (value === null || value === undefined || (typeof value === "number" && Number.isNaN(value))) return "";
  if (typeof value === "number") return String(value);
  const text = visible(value);
  const safe = FORMULA.test(String(value)) && !NUMBER.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * @param {Record<string, unknown>} about
 * @param {string[]} heads
 * @param {Iterable<unknown[]>} rows
 */
export function tableBlob(about, heads, rows) {
  const lines = [`# ${JSON.stringify(about).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, "")}`, heads.map(entry).join(",")];
  for (const row of rows) lines.push(row.map(entry).join(","));
  return new Blob([lines.join("\n"), "\n"], { type: "text/csv" });
}

/** The table beside the map. @param {Explorer} explorer */
export async function exportTable(explorer) {
  const shown = explorer.shown[explorer.active];
  const { group, rows } = await groupRows(explorer, shown);
  const all = /** @type {const} */ (["cells", "donors", "share", "mean"]);
  const used = all.filter((column) => rows.some((row) => row[column] !== null));
  const heads = [group, ...used.map((column) => (column === "share" ? "share_with_counts" : column))];
  save(fileName(explorer, "_table.csv"), tableBlob(await provenance(explorer), heads, rows.map((row) => [row.label, ...used.map((column) => row[column])])));
}

/** The cells that are selected, or shown: their names, places and colours. @param {Explorer} explorer */
export async function exportCells(explorer) {
  const { dataset, positions, selected, filter, shown, projection } = explorer;
  const table = await dataset.table(dataset.named("sample_metadata"));
  const names = (await table.read("cell_id", 0, dataset.cells)).flatMap((chunk) => Array.from(chunk, String));
  const heads = ["cell_id", ...projection.columns, ...shown.map((one) => one.title)];
  function* rows() {
    for (let cell = 0; cell < dataset.cells; cell++) {
      if ((selected && !selected[cell]) || (filter && !filter[cell])) continue;
      yield [names[cell], positions[2 * cell], positions[2 * cell + 1], ...shown.map((one) => {
        if (one.kind === "numbers") return one.values[cell];
        return one.column.codes[cell] === MISSING ? null : one.column.levels[one.column.codes[cell]];
      })];
    }
  }
  save(fileName(explorer, "_cells.csv"), tableBlob(await provenance(explorer), heads, rows()));
}

/**
 * The map with its names, legend and caption.
 * @param {Explorer} explorer
 * @param {"png" | "svg"} kind
 */
export async function exportPicture(explorer, kind) {
  const svg = await pictureOf(explorer);
  if (kind === "svg") {
    save(fileName(explorer, ".svg"), new Blob([svg.text], { type: "image/svg+xml" }));
    return;
  }
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg.text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * svg.width, 2 * svg.height];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await /** @type {Promise<Blob | null>} */ (new Promise((done) => canvas.toBlob(done, "image/png")));
  if (blob) save(fileName(explorer, ".png"), blob);
}

/**
 * An SVG: the points as a picture, everything else as lines and text.
 * @param {Explorer} explorer
 * @returns {Promise<{text: string, width: number, height: number}>}
 */
export async function pictureOf(explorer) {
  const { map, painted, shown, active } = explorer;
  const style = getComputedStyle(document.body);
  const [ink, paper] = [style.color, style.backgroundColor];
  map.drawNow();
  const points = map.canvas.toDataURL("image/png");
  const [width, height] = [map.root.clientWidth, map.root.clientHeight];
  const entries = painted[active]?.entries ?? [];
  const scale = painted[active]?.scale ?? null;
  const legend = 240;
  const text = (/** @type {number} */ x, /** @type {number} */ y, /** @type {string} */ words, extra = "") =>
    `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${extra}>${escaped(visible(words))}</text>`;
  /** @type {string[]} */
  const parts = [`<image href="${points}" x="0" y="0" width="${width}" height="${height}"/>`];
  const boxes = map.boxes();
  [...map.overlay.children].forEach((panel, i) => {
    [...panel.querySelectorAll(".name")].forEach((name, k) => {
      if (name.classList.contains("hidden")) return;
      const anchor = map.panels[i].anchors[k];
      const [x, y] = map.project(anchor.x, anchor.y, boxes[i]);
      parts.push(text(boxes[i].x + x, boxes[i].y + y + 4, anchor.text, `text-anchor="middle" font-weight="600" stroke="${paper}" stroke-width="3" paint-order="stroke"`));
    });
    if (map.panels.length > 1) parts.push(text(boxes[i].x + 8, boxes[i].y + 18, map.panels[i].title, 'font-weight="600"'));
    if (map.polygon) {
      const outline = map.polygon.map(([x, y]) => map.project(x, y, boxes[i]).map((v, d) => (v + (d ? boxes[i].y : boxes[i].x)).toFixed(1)).join(",")).join(" ");
      parts.push(`<polygon points="${outline}" fill="none" stroke="${ink}" stroke-dasharray="4 3"/>`);
    }
  });
  parts.push(text(width + 12, 22, `${shown[active]?.title ?? ""}${shown[active]?.unit ? ` (${shown[active].unit})` : ""}`, 'font-weight="600"'));
  const step = Math.min(18, (height - 40) / Math.max(1, entries.length));
  entries.forEach((one, k) => {
    const y = 40 + k * step;
    parts.push(`<circle cx="${width + 18}" cy="${y}" r="${Math.min(5, step / 3)}" fill="${one.colour}"/>`, text(width + 30, y + 4, one.label, `font-size="${Math.min(12, step * 0.8).toFixed(1)}"`));
  });
  if (scale) {
    scale.stops.forEach((colour, k) => parts.push(`<rect x="${width + 12 + 40 * k}" y="32" width="40" height="12" fill="${colour}"/>`));
    const { unmeasured } = scale;
    if (unmeasured) parts.push(`<circle cx="${width + 18}" cy="80" r="5" fill="${unmeasured.colour}"/>`, text(width + 30, 84, `not measured in ${several(unmeasured.cells, "cell")}`));
    parts.push(text(width + 12, 60, String(Number(scale.low.toPrecision(3)))), text(width + 212, 60, `${scale.clipped ? "≥ " : ""}${Number(scale.high.toPrecision(3))}`, 'text-anchor="end"'));
  }
  parts.push(text(8, height + 18, await caption(explorer), 'font-size="11"'));
  const [w, h] = [width + legend, height + 28];
  return {
    width: w, height: h,
    text: `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" font-family="sans-serif" font-size="12" fill="${ink}">`
      + `<metadata>${escaped(JSON.stringify(await provenance(explorer)))}</metadata><rect width="${w}" height="${h}" fill="${paper}"/>${parts.join("")}</svg>`,
  };
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
