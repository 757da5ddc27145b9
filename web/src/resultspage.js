// What other commands have left beside the dataset: the validation, the benchmark, analyses of ageing; or that they were not run.

import { DataError, readAll } from "./bytes.js";
import { signed } from "./genecard.js";
import { intervals } from "./intervals.js";
import { chart, saveTable, sheetTable } from "./sheet.js";
import { count, element, measure, sentence, several, visible } from "./text.js";

/** @typedef {{file: string, n_rows: number | null, columns: string[], rows: unknown[][]}} ResultTable */
/** @typedef {{name: string, analysis: string, method: string | null, formula: string | null, caveat: string, older: boolean, not_evaluable: number, tables: Record<string, ResultTable>}} AgeingResult */
/** @typedef {{task: string, split: string, model: string, track: string, leaky: boolean, baseline: boolean, of: string, metric: string, value: number | null, low: number | null, high: number | null, n_donors: number | null}} Score */
/**
 * @typedef {object} Act
 * @property {(name: string) => void} card
 * @property {(page: "regulators" | "changes" | "composition") => void} open
 * @property {(name: string) => boolean} isGene
 * @property {Record<string, unknown>} about
 */

const GENES = ["gene", "gene_id", "regulator", "target", "feature"]; // columns whose entries may be genes
const EFFECTS = ["log2_fold_change", "effect", "slope", "difference"]; // that have an interval beside them
const LABELS = ["gene", "feature", "programme", "gene_set", "regulator", "cell_type"];
const HEADLINES = ["balanced_accuracy", "mae"]; // boards that stand first
const DRAWN = 20;

/** What was collected beside the dataset; null where the page was made without. @returns {Promise<any>} */
export async function readResults() {
  const place = document.querySelector("meta[name=titin-results]")?.getAttribute("content");
  if (!place) return null;
  const found = JSON.parse(new TextDecoder().decode(await readAll(document.baseURI, place)));
  if (!Array.isArray(found?.ageing)) throw new DataError(`${place} is not as titin writes it`, "make the page again");
  return found;
}

/**
 * @param {import("./dataset.js").Dataset} dataset
 * @param {Act} act
 */
export async function resultsPage(dataset, act) {
  const found = await readResults();
  const title = element("h2", {}, "Results");
  const inside = /** @type {const} */ ([
    [dataset.named("regulators") in dataset.manifest.files, "regulators", "Regulators of genes", "titin network DATASET --network FILE --keep"],
    [dataset.ageing.size > 0, "changes", "Changes with age", "titin age tables DATASET"],
  ]).map(([there, page, name, command]) => element("li", {}, there
    ? element("button", { type: "button", class: "link", onclick: () => act.open(page) }, name)
    : element("span", {}, `${name}: not run: `, element("code", {}, command))));
  const kept = [element("h3", {}, "Kept in the dataset"), element("ul", {}, ...inside)];
  if (!found) return [title, element("p", { class: "verdict" }, "This page was made without the results that lie beside a dataset: they are shown by `titin explore DATASET`, and by a page that `titin site DATASET` writes with the dataset in it."), ...kept];
  return [
    title, element("p", { class: "hint" }, "What commands have left beside the dataset, as they wrote it; donors are the replicates."),
    ...found.problems.map((/** @type {string} */ said) => element("p", { class: "verdict" }, visible(sentence(said)))),
    ...validation(found.validation, act), ...benchmark(found.benchmark, act), ...ageing(found, act), ...kept,
  ];
}

/** @param {string} what @param {string} command */
function notRun(what, command) {
  return [element("h3", {}, what), element("p", {}, "Not run: run ", element("code", {}, command), ".")];
}

/** A table whose rows are sorted by a click on a head. @param {string} id @param {string} caption @param {{head: string, number?: boolean}[]} heads @param {{values: unknown[], cells: (string | HTMLElement)[]}[]} rows */
function sortable(id, caption, heads, rows) {
  const place = element("div", {});
  /** @type {{column: number, down: boolean} | null} */
  let order = null;
  const draw = () => {
    const sorted = order === null ? rows : [...rows].sort((a, b) => compared(a.values[/** @type {any} */ (order).column], b.values[/** @type {any} */ (order).column], /** @type {any} */ (order).down));
    place.replaceChildren(sheetTable(caption, heads.map((head, column) => ({
      ...head, order: {
        id: `${id}-${column}`, sorted: /** @type {"ascending" | "descending" | null} */ (order?.column === column ? (order.down ? "descending" : "ascending") : null),
        sort: () => {
          order = { column, down: order?.column === column ? !order.down : false };
          draw();
          document.getElementById(`${id}-${column}`)?.focus({ preventScroll: true });
        },
      },
    })), sorted.map((row) => row.cells)));
  };
  draw();
  return place;
}

/** The order of two entries; what is missing comes last either way. @param {unknown} a @param {unknown} b @param {boolean} down */
export function compared(a, b, down) {
  const [no, none] = [a === null || a === undefined || Number.isNaN(a), b === null || b === undefined || Number.isNaN(b)];
  if (no || none) return no && none ? 0 : no ? 1 : -1;
  const least = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return down ? -least : least;
}

/** @param {any} found @param {Act} act */
function validation(found, act) {
  if (!found) return notRun("Validation", "titin validate DATASET");
  const rows = found.checks.map((/** @type {any} */ one) => {
    const first = one.findings[0];
    const cells = [one.name || one.title, one.status, String(one.findings.length), first ? `${first.severity}: ${first.message}` : one.read ?? "", one.title];
    return { values: [cells[0], one.status, one.findings.length, cells[3], one.title], cells: cells.map(visible) };
  });
  const heads = [{ head: "check" }, { head: "status" }, { head: "findings", number: true }, { head: "first of them, or what was read" }, { head: "what it says" }];
  const at = `${found.timestamp}, level ${found.level}`;
  return [
    element("h3", {}, "Validation"),
    element("p", { class: "verdict" }, visible(sentence(found.verdict ?? `${several(found.errors, "error")}, ${several(found.warnings, "warning")}`))),
    element("p", { class: "hint" }, visible(`${at}: ${several(found.errors, "error")}, ${several(found.warnings, "warning")}, ${several(found.notes, "note")}.${found.current === false ? " The dataset has been changed since: `titin validate DATASET --force` looks again." : ""}`)),
    sortable("checks", "Checks", heads, rows),
    saveTable("validation", { ...act.about, timestamp: found.timestamp, level: found.level }, ["check", "status", "severity", "message"],
      () => found.checks.flatMap((/** @type {any} */ one) => (one.findings.length ? one.findings : [{}]).map((/** @type {any} */ finding) => [one.name || one.title, one.status, finding.severity, finding.message]))),
  ];
}

/** @param {any} found @param {Act} act */
function benchmark(found, act) {
  if (!found) return notRun("Benchmark", "titin bench DATASET");
  /** @type {Score[]} */
  const scores = found.scores;
  const boards = [...Map.groupBy(scores.filter((score) => score.low !== null && score.high !== null), (score) => JSON.stringify([score.task, score.split, score.of, score.metric])).values()]
    .sort(([a], [b]) => Number(b.of === "donor") - Number(a.of === "donor") || Number(HEADLINES.includes(b.metric)) - Number(HEADLINES.includes(a.metric)));
  const number = (/** @type {number | null} */ value) => (value === null ? "–" : measure(value));
  const heads = ["task", "split", "model", "of", "metric", "score", "95 % interval", "donors"].map((head, i) => ({ head, number: i > 4 }));
  const drawn = (/** @type {Score[]} */ own) => {
    const [{ task, split, of, metric }] = own;
    const name = `${task} · ${split} · ${metric} over ${of}s`;
    return element("div", {}, element("h4", {}, visible(name)), chart((width) => intervals(own.map((score) => ({
      label: `${score.model}${score.baseline ? " (baseline)" : ""}${score.leaky ? " (leaky)" : ""}`, value: score.value ?? NaN, low: score.low ?? NaN, high: score.high ?? NaN, hollow: score.baseline,
      text: `${score.model}: ${number(score.value)} (${number(score.low)} to ${number(score.high)}), ${score.n_donors} donors`,
    })), width, { label: `${name}; the numbers are in the table below`, axis: metric, line: null }), `benchmark_${task}_${split}_${metric}`.replace(/[^\w.-]+/g, "_")));
  };
  return [
    element("h3", {}, "Benchmark"),
    element("p", { class: "hint" }, "Models on donors that they have not seen, with intervals over donors; hollow: baselines."),
    ...found.tasks.flatMap((/** @type {any} */ task) => task.not_evaluable.map((/** @type {string} */ why) => element("p", { class: "hint" }, visible(sentence(`${task.name}: ${why}`))))),
    ...boards.slice(0, 1).map(drawn),
    ...(boards.length > 1 ? [folded(`The other boards (${count(boards.length - 1)})`, () => boards.slice(1).map(drawn))] : []),
    sortable("scores", "Scores", heads, scores.map((score) => ({
      values: [score.task, score.split, score.model, score.of, score.metric, score.value, score.low, score.n_donors],
      cells: [...[score.task, score.split, `${score.model}${score.baseline ? " (baseline)" : ""}${score.leaky ? " (leaky)" : ""}`, score.of, score.metric].map(visible), number(score.value),
        score.low === null ? "–" : `${number(score.low)} to ${number(score.high)}`, number(score.n_donors)],
    }))),
    saveTable("benchmark", act.about, ["task", "split", "model", "track", "leaky", "baseline", "of", "metric", "value", "low", "high", "n_donors"],
      () => scores.map((score) => [score.task, score.split, score.model, score.track, String(score.leaky), String(score.baseline), score.of, score.metric, score.value, score.low, score.high, score.n_donors])),
  ];
}

/** A part that is made when it is first unfolded. @param {string} name @param {() => Node[]} make */
function folded(name, make) {
  const box = element("details", { ontoggle: () => { if (box.open && box.childElementCount === 1) box.append(...make()); } }, element("summary", {}, visible(name)));
  return box;
}

/** @param {any} found @param {Act} act */
function ageing(found, act) {
  const missing = Object.entries(found.not_run);
  return [
    element("h3", {}, "Analyses of ageing"),
    ...found.ageing.map((/** @type {AgeingResult} */ one) => folded(`titin age ${one.analysis || "…"}: ${one.name}`, () => oneResult(one, act))),
    ...(missing.length ? [element("details", { open: !found.ageing.length }, element("summary", {}, `Not run (${count(missing.length)})`), element("ul", {}, ...missing.map(([name, summary]) =>
      element("li", {}, element("code", {}, `titin age ${visible(name)} DATASET`), ` ${visible(summary)}`))))] : []),
  ];
}

/** @param {AgeingResult} one @param {Act} act */
function oneResult(one, act) {
  const said = [one.method, one.formula ? `model ${one.formula}` : "", one.caveat, one.not_evaluable ? `not evaluable: ${count(one.not_evaluable)} of what was asked` : "",
    one.older ? "it was written before the dataset was last changed" : ""].filter(Boolean).map((words) => sentence(String(words))).join(" ");
  return [element("p", { class: "hint" }, visible(said)), ...Object.entries(one.tables).flatMap(([name, table]) => oneTable(one, name, table, act))];
}

/** @param {AgeingResult} one @param {string} name @param {ResultTable} table @param {Act} act */
function oneTable(one, name, table, act) {
  if (table.n_rows === null) return [element("p", {}, visible(`${table.file} is a CSV, which is not read here; `), element("code", {}, "--format parquet"), " writes what is.")];
  if (!table.rows.length) return [element("p", {}, visible(`${table.file}: no rows.`))];
  const number = table.columns.map((_, i) => table.rows.some((row) => typeof row[i] === "number") && table.rows.every((row) => row[i] === null || typeof row[i] === "number"));
  const cell = (/** @type {unknown} */ value, /** @type {number} */ i) => {
    if (value === null) return "–";
    if (typeof value === "number") return measure(value);
    const text = String(value);
    return GENES.includes(table.columns[i]) && act.isGene(text) ? element("button", { type: "button", class: "link", onclick: () => act.card(text) }, visible(text)) : visible(text);
  };
  return [
    ...(name === "table" ? [] : [element("h4", {}, visible(name))]), ...forestOf(one, table),
    sortable(`${one.name}-${name}`.replace(/[^\w-]+/g, "_"), visible(`${one.name}, ${name}`), table.columns.map((head, i) => ({ head: visible(head), number: number[i] })),
      table.rows.map((row) => ({ values: row, cells: row.map(cell) }))),
    element("p", { class: "hint" }, visible(table.n_rows > table.rows.length ? `The first ${count(table.rows.length)} of ${several(table.n_rows, "row")}, by p where there is one; all are in ${table.file}.` : `${several(table.n_rows, "row")}, of ${table.file}.`)),
    saveTable(`${one.name}${name === "table" ? "" : `_${name}`}`, { ...act.about, file: table.file, method: one.method, formula: one.formula, rows: table.n_rows }, table.columns, () => table.rows),
  ];
}

/** The clearest effects with their intervals, where the table has some. @param {AgeingResult} one @param {ResultTable} table */
function forestOf(one, table) {
  const at = (/** @type {string} */ name) => table.columns.indexOf(name);
  const effect = EFFECTS.find((name) => at(name) >= 0);
  const label = LABELS.find((name) => at(name) >= 0);
  if (!effect || !label || at("ci_low") < 0 || at("ci_high") < 0 || at("p_value") < 0) return [];
  const number = (/** @type {unknown} */ value) => (typeof value === "number" ? value : NaN);
  const rows = table.rows.filter((row) => typeof row[at(effect)] === "number" && typeof row[at("p_value")] === "number").slice(0, DRAWN).map((row) => {
    const [value, low, high] = [effect, "ci_low", "ci_high"].map((name) => number(row[at(name)]));
    const where = label === "cell_type" ? [] : ["cell_type"];
    const words = [label, ...where, "protocol"].filter((name) => at(name) >= 0).map((name) => String(row[at(name)])).join(" · ");
    return { label: words, value, low, high, hollow: !(number(row[at("adj_p_value")]) < 0.05), text: `${words}: ${signed(value)} (${signed(low)} to ${signed(high)})` };
  });
  if (!rows.length) return [];
  return [
    element("p", { class: "hint" }, `The ${several(rows.length, "test")} with the least p, with 95 % intervals; filled: adjusted p < 0.05.`),
    chart((width) => intervals(rows, width, { label: `${effect} of ${several(rows.length, "test")}; the numbers are in the table below`, axis: effect.replaceAll("_", " "), line: 0 }), one.name),
  ];
}
