// What changes with age, as the dataset keeps it by a level of cell types: sums of donors, and the tests of them, which Python has computed.

import { DataError } from "./bytes.js";
import { readRow } from "./lists.js";
import { guarded } from "./parquet.js";

/** @typedef {{protocol: string, type: string}} Place a cell type in a protocol, as it is compared */
/** @typedef {Place & {donor: string, age: number, cells: number, counts: number, library: number, row: number}} Group */
/** @typedef {{mean: number, effect: number, low: number, high: number, p: number, adjusted: number}} Change */
/** @typedef {Group & {compared: boolean, own: number, detected: number, value: number}} Dot a donor: counts of the gene, cells with any, and log2 counts per million */
/** @typedef {Place & {donors: string[], cells: number, notes: string[], number: number}} Comparison */
/** @typedef {Place & {cells: number, donors: number, mean: number, fold: number, low: number, high: number, p: number, adjusted: number}} Fraction */

const ROW_GROUP = 2 ** 20; // bytes; of the table by gene they are smaller
const STATISTICS = ["mean_log_cpm", "log2_fold_change", "ci_low", "ci_high", "p_value", "adj_p_value"];
const MISSING = new DataError("This dataset does not hold what changes with age", "`titin age tables DATASET` finds it, where the cells have donors, ages and counts");

export class Ageing {
  /**
   * @param {import("./dataset.js").Dataset} dataset
   * @param {string} file what its tables are called after
   * @param {any} told how everything was made
   * @param {Group[]} groups
   * @param {Fraction[]} fractions
   */
  constructor(dataset, file, told, groups, fractions) {
    this.dataset = dataset;
    this.file = file;
    this.told = told;
    this.groups = groups;
    this.fractions = fractions;
    /** @type {Comparison[]} */
    this.comparisons = (told.expression?.tests ?? []).map((/** @type {any} */ test, /** @type {number} */ number) => ({
      protocol: String(test.protocol), type: String(test.cell_type), donors: test.donors ?? [], cells: Number(test.n_cells), notes: test.notes ?? [], number,
    }));
    /** @type {Map<string, Group[]>} */
    this.byPlace = Map.groupBy(groups, keyOf);
    /** @type {Map<number, Promise<{dots: Dot[], changes: Map<number, Change>}>>} */
    this.cards = new Map();
  }

  /**
   * @param {import("./dataset.js").Dataset} dataset
   * @param {string | undefined} level of cell types, one of `dataset.ageing`
   */
  static async open(dataset, level) {
    const own = level === undefined ? undefined : dataset.ageing.get(level);
    if (own === undefined) throw MISSING;
    const [groups, fractions] = await Promise.all(["groups", "composition"].map((part) => dataset.small(dataset.named(`${own}_${part}`))));
    const { file, footer } = groups.groups[0].shard;
    const told = await guarded(file, async () => JSON.parse(footer.key_value_metadata?.find(({ key }) => key === "titin.ageing")?.value ?? ""));
    const columns = await columnsOf(groups, ["donor", "protocol", "cell_type", "age", "n_cells", "n_counts", "library"]);
    const tested = await columnsOf(fractions, ["cell_type", "protocol", "n_donors", "n_cells", "mean_fraction", "fold_change", "fold_change_low", "fold_change_high", "p_value", "adj_p_value"]);
    return new Ageing(dataset, own, told, columns[0].map((donor, i) => ({
      donor: String(donor), protocol: String(columns[1][i]), type: String(columns[2][i]), age: numberOf(columns[3][i]), cells: Number(columns[4][i]),
      counts: Number(columns[5][i]), library: numberOf(columns[6][i]), row: i,
    })), tested[0].map((type, i) => ({
      type: String(type), protocol: String(tested[1][i]), donors: Number(tested[2][i]), cells: Number(tested[3][i]), mean: numberOf(tested[4][i]),
      fold: numberOf(tested[5][i]), low: numberOf(tested[6][i]), high: numberOf(tested[7][i]), p: numberOf(tested[8][i]), adjusted: numberOf(tested[9][i]),
    })));
  }

  /** Years from which a donor is old, or null. @returns {number | null} */
  get cut() {
    return this.told.age_cut ?? null;
  }

  /** Cells that a donor has of a type, at the least, to be counted there. */
  get fewest() {
    return Number(this.told.expression?.settings?.min_cells ?? 10);
  }

  /** Donors by age. */
  get donors() {
    return [...new Map(this.groups.map((group) => [group.donor, group])).values()].sort((a, b) => a.age - b.age || (a.donor < b.donor ? -1 : 1));
  }

  /** Places that were not compared, each with the reason and its groups. */
  get skipped() {
    return (this.told.expression?.skipped ?? []).map((/** @type {any} */ one) => ({
      protocol: String(one.protocol), type: String(one.cell_type), reason: String(one.reason), cells: Number(one.n_cells ?? 0),
    })).filter((/** @type {any} */ one) => one.cells > 0);
  }

  /** @param {Place} place @returns {Comparison | undefined} */
  comparisonOf(place) {
    return this.comparisons.find((one) => one.type === place.type && one.protocol === place.protocol);
  }

  /**
   * A gene in all groups, and its changes by the number of the comparison.
   * @param {number} token
   */
  gene(token) {
    let found = this.cards.get(token);
    if (!found) {
      found = this.readGene(token);
      found.catch(() => this.cards.delete(token));
      if (this.cards.size > 200) this.cards.clear();
      this.cards.set(token, found);
    }
    return found;
  }

  /** @param {number} token @returns {Promise<{dots: Dot[], changes: Map<number, Change>}>} */
  async readGene(token) {
    const table = await this.table();
    const [groups, counts, cells, comparisons, ...statistics] = await readRow(table, ["groups", "counts", "cells", "comparisons", ...STATISTICS], token, ROW_GROUP);
    const [own, detected] = [new Float64Array(this.groups.length), new Float64Array(this.groups.length)];
    groups.forEach((group, i) => { own[group] = counts[i]; detected[group] = cells[i]; });
    if (!groups.length) return { dots: [], changes: new Map() }; // no counts at all, or not measured by all studies: no zero
    const dots = this.groups.map((group, i) => {
      const compared = !Number.isNaN(group.library);
      return { ...group, compared, own: own[i], detected: detected[i], value: Math.log2((own[i] + 0.5) / ((compared ? group.library : group.counts) + 1) * 1e6) };
    });
    const changes = new Map(Array.from(comparisons, (number, i) => {
      const [mean, effect, low, high, p, adjusted] = statistics.map((column) => column[i]);
      return /** @type {[number, Change]} */ ([number, { mean, effect, low, high, p, adjusted }]);
    }));
    return { dots, changes };
  }

  table() {
    return this.dataset.table(this.dataset.named(`${this.file}_by_gene`), 2 ** 18);
  }

  /**
   * All genes of a comparison.
   * @param {number} number
   * @returns {Promise<(Change & {token: number})[]>}
   */
  async genes(number) {
    const table = await this.dataset.table(this.dataset.named(`${this.file}_tests`));
    const { start, end } = table.groups[number]; // a comparison is a row group
    const [tokens, ...statistics] = await columnsOf(table, ["token", ...STATISTICS], start, end);
    return tokens.map((token, i) => {
      const [mean, effect, low, high, p, adjusted] = statistics.map((column) => numberOf(column[i]));
      return { token: Number(token), mean, effect, low, high, p, adjusted };
    });
  }
}

/**
 * The level of a gene in cells that are counted together: log2 of 1 + counts per million.
 * @param {number} own counts of the gene
 * @param {number} counts of all genes
 */
export function levelOf(own, counts) {
  return Math.log2(own / counts * 1e6 + 1);
}

/** @param {Place} place */
export function keyOf({ protocol, type }) {
  return JSON.stringify([protocol, type]);
}

/**
 * A place in words; a dataset without protocols has one that is called all.
 * @param {Place} place
 */
export function placeName({ protocol, type }) {
  return protocol === "all" ? type : `${type} · ${protocol}`;
}

/** @param {unknown} value */
function numberOf(value) {
  return value === null || value === undefined ? NaN : Number(value);
}

/**
 * @param {import("./parquet.js").Table} table
 * @param {string[]} names
 * @returns {Promise<unknown[][]>}
 */
function columnsOf(table, names, start = 0, end = table.rows) {
  return Promise.all(names.map(async (name) => (await table.read(name, start, end)).flatMap((part) => Array.from(part))));
}
