// The check of labels that a dataset may hold: columns of its cells, and the review list that leads to them.

import { DataError } from "./bytes.js";
import { guarded } from "./parquet.js";
import { sheetTable } from "./sheet.js";
import { count, element, percent, sentence, several, visible } from "./text.js";

/** @typedef {import("./dataset.js").Dataset} Dataset */
/** @typedef {{level: string, label: string, suggested: string, donor: string, n_cells: number, share: number, p_label: number, p_suggested: number, exchanged: boolean, markers_for: string, markers_against: string}} ReviewGroup */

const ANEW = "`titin annotate DATASET --force` checks the labels again";
const CIRCULAR = "Where the labels were made with the help of such a model, or of clusters of these same values, agreement is self-consistency and no proof that they are right.";
const FIELDS = /** @type {const} */ ([["p_label", "numbers"], ["predicted", "labels"], ["flagged", "labels"]]);

/** Name of a column of the check. @param {typeof FIELDS[number][0]} field @param {string} level */
export const checkColumn = (field, level) => `${field} (check of ${level})`;

/**
 * Let the cells have what the check says of each; its levels follow each other in the file.
 * @param {Dataset} dataset
 */
export async function addLabelCheck(dataset) {
  const file = dataset.named("label_check");
  if (!(file in dataset.manifest.files)) return;
  const table = await dataset.table(file);
  const levels = new Set((await table.read("level", 0, table.rows)).flatMap((part) => Array.from(part, String)));
  [...levels].forEach((level, i) => {
    for (const [field, kind] of FIELDS) {
      dataset.columns.push({
        name: checkColumn(field, level), column: `${file}/${i}/${field}`, kind, ordered: false, given: null, from: { file, field, level, start: i * dataset.cells },
      });
    }
  });
}

/** Levels of labels that were checked. @param {Dataset} dataset */
export function checkedLevels(dataset) {
  return dataset.columns.flatMap(({ from }) => (from?.field === "flagged" ? [from.level] : []));
}

/**
 * What the check has found.
 * @param {Dataset} dataset
 * @returns {Promise<{settings: any, review: ReviewGroup[]}>}
 */
export async function reviewOf(dataset) {
  const table = await dataset.table(dataset.named("label_check"));
  const { file, footer } = table.groups[0].shard;
  const told = await guarded(file, async () => JSON.parse(footer.key_value_metadata?.find(({ key }) => key === "titin.label_check")?.value ?? ""));
  if (!Array.isArray(told?.review)) throw new DataError(`${file.name} does not say how it was made`, ANEW);
  return told;
}

/** Refuse a check of labels that are others now. @param {Dataset} dataset */
async function refuseStale(dataset) {
  const table = await dataset.table(dataset.named("label_check"));
  for (const [i, level] of checkedLevels(dataset).entries()) {
    const info = dataset.columns.find((column) => column.name === level && !column.from);
    const now = info ? await dataset.read(info) : null;
    const then = (await table.read("label", i * dataset.cells, (i + 1) * dataset.cells)).flatMap((part) => Array.from(part));
    if (now?.kind !== "labels" || then.some((label, cell) => label !== null && label !== undefined && now.levels[now.codes[cell]] !== String(label))) {
      throw new DataError(`The labels of ${level} are others than those that were checked`, ANEW);
    }
  }
}

/**
 * @param {Dataset} dataset
 * @param {(change: Partial<import("./address.js").State>) => void} act
 */
export async function labelsPage(dataset, act) {
  if (!checkedLevels(dataset).length) throw new DataError("The labels of this dataset have not been checked", "`titin annotate DATASET` checks them by models of other donors");
  await refuseStale(dataset);
  const { review } = await reviewOf(dataset);
  const donor = dataset.donor?.name;
  const show = (/** @type {ReviewGroup} */ group) => act({
    page: "map", colours: [{ obs: group.level }],
    selection: { where: [
      { column: group.level, is: [group.label] }, { column: checkColumn("predicted", group.level), is: [group.suggested] },
      { column: checkColumn("flagged", group.level), is: ["True"] }, ...(donor ? [{ column: donor, is: [group.donor] }] : []),
    ] },
  });
  return [
    element("h2", {}, "Labels, checked"),
    ...checkedLevels(dataset).map((level) => {
      const flagged = review.filter((group) => group.level === level).reduce((sum, group) => sum + group.n_cells, 0);
      return element("p", { class: "verdict" }, `${count(flagged)} of ${several(dataset.cells, "label")} of ${visible(level)} are contradicted with confidence by models that have not seen the cell's donor. `,
        element("button", { type: "button", onclick: () => act({ page: "map", colours: [{ obs: checkColumn("p_label", level) }] }) }, "Colour by the label's probability"));
    }),
    element("p", { class: "hint" }, sentence(CIRCULAR)),
    ...(review.length ? list(review, show) : []),
  ];
}

/** @param {ReviewGroup[]} review @param {(group: ReviewGroup) => void} show */
function list(review, show) {
  return [
    element("h3", {}, "To look at first"),
    element("p", { class: "hint" }, "Flagged cells of one donor that argue together, the largest groups first; each leads to its cells on the map. A group that is exchanged has as large a part of the other type taken for it."),
    sheetTable("Review list", ["label, and what it looks like", "donor", "cells", "share of the donor's", "p of label", "p suggested", "speaks for it", "speaks against"].map((head, i) => ({ head, number: i > 1 && i < 6 })),
      review.map((group) => [
        element("button", { type: "button", class: "link", onclick: () => show(group) }, visible(`${group.label} → ${group.suggested}${group.exchanged ? " (exchanged)" : ""}`)),
        visible(group.donor), count(group.n_cells), percent(group.share, 1), group.p_label.toFixed(3), group.p_suggested.toFixed(3), visible(group.markers_for), visible(group.markers_against)])),
  ];
}
