// Regulators of genes as the dataset keeps them: what changes, each donor, and the genes that go along; all computed by Python.

import { DataError } from "./bytes.js";
import { guarded } from "./parquet.js";

/** @typedef {import("./ageing.js").Place} Place */
/** @typedef {{effect: number, low: number, high: number, p: number, adjusted: number, overAll: number, donors: number}} Tested */
/** @typedef {Place & {regulator: string, donors: number, cells: number, targets: number, rank: number, activity: number, change: Tested, strength: number, strengthChange: Tested}} Regulated one regulator in a type and protocol */
/** @typedef {Place & {donor: string, age: number, cells: number, activity: number, strength: number}} RegulatorDot */
/** @typedef {Place & {target: string, token: number, donors: number, weight: number, stability: number, sign: number, correlation: number, prior: number, effect: number, low: number, high: number, p: number, adjusted: number}} Edge */

const MISSING = new DataError("This dataset does not hold regulators of genes",
  "`titin network DATASET --network FILE --keep` finds them; where `titin network` has been run, `titin network DATASET --keep` puts them in");
const CHANGE = ["ci_low", "ci_high", "p_value", "adj_p_value"];

export class Regulators {
  /**
   * @param {import("./dataset.js").Dataset} dataset
   * @param {any} told how everything was made
   * @param {Regulated[]} rows
   */
  constructor(dataset, told, rows) {
    this.dataset = dataset;
    this.told = told;
    this.rows = rows;
    /** @type {Map<string, Promise<{dots: RegulatorDot[], edges: Edge[]}>>} */
    this.known = new Map();
    /** @type {Map<string, Promise<Map<string, [number, number]>>>} */
    this.places = new Map(); // of a table, where the rows of each regulator lie
  }

  /** @param {import("./dataset.js").Dataset} dataset */
  static async open(dataset) {
    const name = dataset.named("regulators");
    if (!(name in dataset.manifest.files)) throw MISSING;
    const table = await dataset.small(name);
    const { file, footer } = table.groups[0].shard;
    const told = await guarded(file, async () => JSON.parse(footer.key_value_metadata?.find(({ key }) => key === "titin.regulators")?.value ?? ""));
    if ([told?.activities, told?.networks].some((one) => one && (typeof one.verdict !== "string" || typeof one.settings !== "object" || !one.settings))) {
      throw new DataError(`${file.name} does not say how it was made`, "`titin network DATASET --keep` puts it in anew");
    }
    const own = CHANGE.concat("adj_p_value_across_types");
    const at = await columnsOf(table, [
      "regulator", "cell_type", "protocol", "n_donors", "n_cells", "n_targets", "rank", "activity", "n_donors_tested", "effect", ...own,
      "strength_n_donors", "strength", "strength_difference", ...own.map((column) => `strength_${column}`),
    ]);
    const tested = (/** @type {number} */ i, /** @type {string} */ stem, /** @type {string} */ effect, /** @type {string} */ donors) => ({
      effect: at(effect, i), low: at(`${stem}ci_low`, i), high: at(`${stem}ci_high`, i), p: at(`${stem}p_value`, i), adjusted: at(`${stem}adj_p_value`, i),
      overAll: at(`${stem}adj_p_value_across_types`, i), donors: at(donors, i),
    });
    return new Regulators(dataset, told, Array.from({ length: table.rows }, (_, i) => ({
      ...placeAt(at, i), regulator: at.text("regulator", i), donors: at("n_donors", i), cells: at("n_cells", i), targets: at("n_targets", i), rank: at("rank", i), activity: at("activity", i),
      change: tested(i, "", "effect", "n_donors_tested"), strength: at("strength", i), strengthChange: tested(i, "strength_", "strength_difference", "strength_n_donors"),
    })));
  }

  /** Cells that a donor has of a type, at the least, to be counted there. */
  get fewest() {
    return Number((this.told.activities ?? this.told.networks)?.settings?.min_cells ?? 10);
  }

  /** Whether effects are a decade, and not old against young. */
  get decades() {
    return (this.told.activities ?? this.told.networks)?.settings?.contrast === "age";
  }

  /**
   * A regulator as it is called here, in capitals or not.
   * @param {string} name
   */
  find(name) {
    const found = this.rows.find((row) => row.regulator === name) ?? this.rows.find((row) => row.regulator.toUpperCase() === name.toUpperCase());
    if (!found) throw new DataError(`${name} is none of the regulators that were looked for`, "choose one of the table");
    return found.regulator;
  }

  /**
   * Donors and targets of a regulator.
   * @param {string} regulator
   */
  of(regulator) {
    let found = this.known.get(regulator);
    if (!found) {
      found = this.read(regulator);
      found.catch(() => this.known.delete(regulator));
      if (this.known.size > 50) this.known.clear();
      this.known.set(regulator, found);
    }
    return found;
  }

  /** @param {string} regulator @returns {Promise<{dots: RegulatorDot[], edges: Edge[]}>} */
  async read(regulator) {
    const [dots, edges] = await Promise.all([
      this.part("regulator_donors", regulator, ["donor", "cell_type", "protocol", "age", "n_cells", "activity", "strength"]),
      this.part("regulator_edges", regulator, ["target", "token", "cell_type", "protocol", "n_donors", "weight", "stability", "sign", "correlation", "prior", "difference", ...CHANGE]),
    ]);
    return {
      dots: Array.from({ length: dots.rows }, (_, i) => ({
        ...placeAt(dots.at, i), donor: dots.at.text("donor", i), age: dots.at("age", i), cells: dots.at("n_cells", i), activity: dots.at("activity", i), strength: dots.at("strength", i),
      })),
      edges: Array.from({ length: edges.rows }, (_, i) => ({
        ...placeAt(edges.at, i), target: edges.at.text("target", i), token: edges.at("token", i), donors: edges.at("n_donors", i), weight: edges.at("weight", i), stability: edges.at("stability", i),
        sign: edges.at("sign", i), correlation: edges.at("correlation", i), prior: edges.at("prior", i), effect: edges.at("difference", i), low: edges.at("ci_low", i), high: edges.at("ci_high", i),
        p: edges.at("p_value", i), adjusted: edges.at("adj_p_value", i),
      })),
    };
  }

  /**
   * The rows of a table that are of a regulator: they lie together.
   * @param {string} part
   * @param {string} regulator
   * @param {string[]} columns
   */
  async part(part, regulator, columns) {
    const name = this.dataset.named(part);
    const table = await this.dataset.table(name);
    let places = this.places.get(name);
    if (!places) {
      places = placesOf(table);
      places.catch(() => this.places.delete(name));
      this.places.set(name, places);
    }
    const [start, end] = (await places).get(regulator) ?? [0, 0];
    return { rows: end - start, at: await columnsOf(table, columns, start, end) };
  }
}

/**
 * First and last row of each regulator.
 * @param {import("./parquet.js").Table} table
 */
async function placesOf(table) {
  /** @type {Map<string, [number, number]>} */
  const places = new Map();
  let row = 0;
  for (const part of table.rows ? await table.read("regulator", 0, table.rows) : []) {
    for (const name of part) {
      const known = places.get(String(name));
      if (known) known[1] = row + 1;
      else places.set(String(name), [row, row + 1]);
      row += 1;
    }
  }
  return places;
}

/** @param {Columns} at @param {number} i @returns {Place} */
function placeAt(at, i) {
  return { type: at.text("cell_type", i), protocol: at.text("protocol", i) };
}

/** @typedef {((name: string, row: number) => number) & {text: (name: string, row: number) => string}} Columns numbers of a column by row, NaN where there is none; and texts */

/**
 * @param {import("./parquet.js").Table} table
 * @param {string[]} names
 * @returns {Promise<Columns>}
 */
async function columnsOf(table, names, start = 0, end = table.rows) {
  const read = new Map(await Promise.all(names.map(async (name) => /** @type {[string, unknown[]]} */ ([name,
    end > start ? (await table.read(name, start, end)).flatMap((part) => Array.from(part)) : []]))));
  const value = (/** @type {string} */ name, /** @type {number} */ row) => read.get(name)?.[row];
  return Object.assign((/** @type {string} */ name, /** @type {number} */ row) => {
    const found = value(name, row);
    return found === null || found === undefined ? NaN : Number(found);
  }, { text: (/** @type {string} */ name, /** @type {number} */ row) => String(value(name, row)) });
}
