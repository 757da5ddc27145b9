// What the page shows, as code that finds the same cells and values in Python.

/** @typedef {import("./explorer.js").Explorer} Explorer */
/** @typedef {import("./selections.js").Selection} Selection */

/**
 * The same cells and values in Python.
 * @param {Explorer} explorer
 */
export function pythonOf(explorer) {
  const { state, dataset } = explorer;
  const text = (/** @type {string} */ name) => JSON.stringify(name);
  const list = (/** @type {string[]} */ names) => `[${names.map(text).join(", ")}]`;
  const lines = ["import numpy as np", "import titin", "", `atlas = titin.open(${text(document.querySelector("meta[name=titin-name]")?.getAttribute("content") || dataset.manifest.prefix)})`, "obs = atlas.obs", "cells = np.ones(len(obs), bool)"];
  const selections = [...(state.where.length ? [{ where: state.where }] : []), ...(state.selection ? [state.selection] : [])];
  const checks = [...new Set([...selections.flatMap(conditionsIn), ...state.colours.flatMap((colour) => ("obs" in colour ? [{ column: colour.obs }] : []))]
    .flatMap(({ column }) => (dataset.column(column).from ? [column] : [])))];
  if (checks.length) lines.push("check = titin.annotate.read_label_check(atlas).table");
  for (const name of checks) {
    const { field, level } = dataset.column(name).from ?? { field: "", level: "" };
    lines.push(`obs = obs.assign(**{${text(name)}: check[${text(field)}][(check["level"] == ${text(level)}).to_numpy()].to_numpy()})`);
  }
  for (const selection of selections) lines.push(...narrowed("cells", selection, state.projection));
  const partial = Object.values(dataset.manifest.studies ?? {}).some((study) => study.measured); // no zero where a study did not measure
  state.colours.forEach((colour, i) => {
    if ("obs" in colour) lines.push(`values = obs[${text(colour.obs)}][cells]`);
    else if ("gene" in colour && partial) lines.push(`values = atlas[${text(colour.gene)}].where(atlas.measured_in(${text(colour.gene)}))[cells]`);
    else if ("gene" in colour) lines.push(`values = atlas[${text(colour.gene)}][cells]`);
    else lines.push(`values = atlas.expression[${list(usedOf(explorer.shown[i], colour.genes))}][cells]`);
  });
  return `${lines.join("\n")}\n`;
}

/**
 * Of a set of genes, those that are shown.
 * @param {import("./colouring.js").Shown | undefined} shown
 * @param {string[]} asked
 */
function usedOf(shown, asked) {
  return (shown?.kind === "numbers" && shown.genes) || asked;
}

/** @param {Selection} selection @returns {import("./conditions.js").Condition[]} */
function conditionsIn(selection) {
  return "where" in selection ? selection.where : "of" in selection ? selection.of.flatMap(conditionsIn) : [];
}

/**
 * Lines of Python that leave of an array of marks those of a selection.
 * @param {string} name of the array
 * @param {Selection} selection
 * @param {string} projection of outlines that name none
 * @returns {string[]}
 */
function narrowed(name, selection, projection) {
  const text = (/** @type {unknown} */ value) => JSON.stringify(value);
  if ("where" in selection) {
    return selection.where.map(({ column, is, not, from, to }) => {
      const entries = (/** @type {string[]} */ names) => `obs[${text(column)}].astype(str).isin([${names.map(text).join(", ")}]).to_numpy()`;
      if (is) return `${name} &= ${entries(is)}`;
      return not ? `${name} &= ~${entries(not)}` : `${name} &= obs[${text(column)}].between(${from ?? "-np.inf"}, ${to ?? "np.inf"}).to_numpy()`;
    });
  }
  if ("filter" in selection) {
    return [`where = titin.study.Where.of(${text(selection.filter)})`, `${name} &= where.holds(titin.study.Study.of(atlas, where.columns).keys(where.columns), empty=True)`];
  }
  if ("polygon" in selection) {
    return [
      `x, y = np.asarray(atlas.obsm[${text(selection.projection ?? projection)}], float)[:, :2].T`, `corners = ${text(selection.polygon)}`, "inside = np.zeros(len(obs), bool)",
      "for (x1, y1), (x2, y2) in zip(corners, corners[-1:] + corners[:-1]):", "    crossed = (y1 > y) != (y2 > y)",
      "    inside[crossed] ^= x[crossed] < (x2 - x1) * (y[crossed] - y1) / (y2 - y1) + x1", `${name} &= inside`];
  }
  const [left, right] = [`${name}_a`, `${name}_b`];
  const sign = { and: "&", or: "|", without: "& ~" }[selection.join];
  return [
    ...[left, right].flatMap((own, i) => [`${own} = np.ones(len(obs), bool)`, ...narrowed(own, selection.of[i], projection)]),
    `${name} &= ${left} ${sign}${sign.endsWith("~") ? "" : " "}${right}`.replace(/&= (.*)$/, "&= ($1)")];
}
