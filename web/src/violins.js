// Genes in the cells of each donor: how their values are distributed in the cells of a group, a donor and protocol at a time.

import { DataError } from "./bytes.js";
import { MISSING } from "./dataset.js";
import { density, moments, quantile } from "./distribution.js";
import { ageCut, donorAges } from "./donorages.js";
import { FEWEST_CELLS, namesOf } from "./donorsides.js";
import { sideName } from "./selections.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */
/** @typedef {import("./genes.js").Gene} Gene */
/** @typedef {{column: string} | "sets" | "all"} Grouping by a column of the cells, by the selections that are kept, or all cells together */
/** @typedef {{label: string, rows: Uint32Array}} GroupOfCells */
/**
 * Cells of a donor. `density` is null of too few cells, and where all have the same value; `values` are those of too few cells.
 * @typedef {object} Violin
 * @property {string} donor
 * @property {number} age
 * @property {number} cells in which the gene was measured
 * @property {boolean} few
 * @property {number} mean
 * @property {number} share of cells above zero
 * @property {number[]} quantiles smallest, quarter, median, three quarters, largest
 * @property {{at: number[], height: number[]} | null} density
 * @property {number[]} values
 */
/** @typedef {{gene: Gene, label: string, protocol: string, lacking: string[], donors: Violin[]}} ViolinChart lacking: studies that did not measure it */

export const SHARES = [0, 0.25, 0.5, 0.75, 1];
const POINTS = 64; // of a density
const ALL = "all"; // the protocol where the dataset has none

/** By what cells are grouped where nothing is chosen: the coarsest types. @param {import("./dataset.js").Dataset} dataset @returns {Grouping} */
export function firstGrouping({ types }) {
  return types.length ? { column: types[0].name } : "all";
}

/**
 * Groups of the cells that are not hidden, those of most cells first.
 * @param {Explorer} explorer
 * @param {Grouping} grouping
 * @returns {Promise<GroupOfCells[]>}
 */
export async function groupsBy(explorer, grouping) {
  const { dataset, state } = explorer;
  const shown = state.where.length ? await explorer.maskOf({ where: state.where }) : null;
  const rowsOf = (/** @type {(cell: number) => boolean | number} */ holds) => {
    const rows = [];
    for (let cell = 0; cell < dataset.cells; cell++) if ((!shown || shown[cell]) && holds(cell)) rows.push(cell);
    return Uint32Array.from(rows);
  };
  if (grouping === "all") return [{ label: "all cells", rows: rowsOf(() => true) }];
  if (grouping === "sets") {
    const sides = await Promise.all(/** @type {const} */ (["a", "b"]).flatMap((side) => {
      const selection = state[side];
      return selection ? [explorer.maskOf(selection).then((mask) => ({ label: sideName(state, side), rows: rowsOf((cell) => mask[cell]) }))] : [];
    }));
    const saved = await Promise.all(state.saved.map((selection) => explorer.maskOf(selection).then((mask) => ({ label: selection.name ?? "", rows: rowsOf((cell) => mask[cell]) }))));
    if (!sides.length && !saved.length) throw new DataError("There is no A or B", "keep one, or group by a column");
    return [...sides, ...saved];
  }
  const column = await dataset.labels(dataset.column(grouping.column));
  const codes = column?.codes ?? new Uint16Array();
  const byCode = Map.groupBy(rowsOf((cell) => codes[cell] !== MISSING), (cell) => codes[cell]);
  return [...byCode].map(([code, rows]) => ({ label: column?.levels[code] ?? "", rows: Uint32Array.from(rows) })).sort((a, b) => b.rows.length - a.rows.length);
}

/**
 * Every gene in every group, protocols apart and the youngest donor first.
 * @param {Explorer} explorer
 * @param {Gene[]} asked
 * @param {GroupOfCells[]} groups
 */
export async function violinsOf(explorer, asked, groups) {
  const { dataset } = explorer;
  const [donors, protocols] = await Promise.all([dataset.donor, dataset.role("protocol")].map((info) => dataset.labels(info)));
  if (!donors) throw new DataError("This dataset has no donors, and each has a violin", "build it again with --donor COLUMN");
  const [genes, ages] = await Promise.all([explorer.genes(), donorAges(dataset, donors)]);
  const unit = explorer.unit(genes);
  const parts = groups.map(({ label, rows }) => ({ label, ...partsOf(rows, donors, protocols) }));
  /** @type {ViolinChart[]} */
  const charts = [];
  for (const gene of asked) {
    const [values, lacking] = await Promise.all([genes.values(gene.token, unit), genes.studiesWithout(gene.token)]);
    for (const { label, byProtocol } of parts) {
      for (const [protocol, own] of byProtocol) {
        const violins = own.map(({ donor, rows }) => violinOf(donor, ages.get(donor) ?? NaN, Float64Array.from(rows, (cell) => values[cell])))
          .filter(({ cells }) => cells).sort((a, b) => byAge(a, b));
        charts.push({ gene, label, protocol, lacking, donors: violins });
      }
    }
  }
  const unnamed = parts.reduce((sum, part) => sum + part.unnamed, 0);
  return { unit: genes.unitName(unit), fewest: FEWEST_CELLS, cut: ageCut(ages.values()), unnamed, charts };
}

/**
 * Cells of a group by protocol and donor; `unnamed` are those without either.
 * @param {Uint32Array} rows
 * @param {import("./dataset.js").Labels} donors
 * @param {import("./dataset.js").Labels | null} protocols
 */
function partsOf(rows, donors, protocols) {
  const [donorNames, protocolNames] = [namesOf(donors, "donor"), protocols ? namesOf(protocols, "protocol") : []];
  /** @type {Map<string, Map<string, number[]>>} */
  const found = new Map();
  let unnamed = 0;
  for (const cell of rows) {
    const donor = donors.codes[cell] === MISSING ? null : donorNames[donors.codes[cell]];
    const place = protocols?.codes[cell] ?? 0;
    const protocol = !protocols ? ALL : place === MISSING ? null : protocolNames[place];
    if (donor === null || protocol === null) {
      unnamed += 1;
      continue;
    }
    let own = found.get(protocol);
    if (!own) found.set(protocol, own = new Map());
    const cells = own.get(donor);
    if (cells) cells.push(cell);
    else own.set(donor, [cell]);
  }
  const byProtocol = [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([protocol, own]) =>
    /** @type {[string, {donor: string, rows: number[]}[]]} */ ([protocol, [...own].map(([donor, cells]) => ({ donor, rows: cells }))]));
  return { unnamed, byProtocol };
}

/**
 * @param {string} donor
 * @param {number} age
 * @param {Float64Array} values of its cells; NaN where the gene was not measured
 * @returns {Violin}
 */
function violinOf(donor, age, values) {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort();
  const few = sorted.length < FEWEST_CELLS;
  return {
    donor, age, cells: sorted.length, few, mean: moments(sorted).mean, share: sorted.filter((value) => value > 0).length / sorted.length,
    quantiles: SHARES.map((share) => quantile(sorted, share)), density: few ? null : density(sorted, POINTS), values: few ? [...sorted] : [],
  };
}

/** The youngest first, those without an age last. @param {Violin} a @param {Violin} b */
function byAge(a, b) {
  const [x, y] = [a, b].map(({ age }) => (Number.isNaN(age) ? Infinity : age));
  return x === y ? (a.donor < b.donor ? -1 : 1) : x - y;
}
