// Genes: their names, where they lie, and their values over all cells.

import { DataError } from "./bytes.js";
import { readRow } from "./lists.js";

const KEPT = 64; // genes in memory
const ALIASES = /alias|synonym|previous/i; // columns of var that hold other names, several in one entry

/** @typedef {{token: number, symbol: string, id: string}} Gene */
/** @typedef {{cells: Uint32Array, stored: Float64Array}} GeneEntries cells that express it, ascending, and what is stored of each */
/** @typedef {"log" | "counts"} Unit */

export class Genes {
  /**
   * @param {import("./dataset.js").Dataset} dataset
   * @param {string[]} symbols by token
   * @param {string[]} ids by token
   * @param {Uint32Array} lengths how many cells express each, by token
   * @param {[string, number][]} aliases other names, each with the token of its gene
   */
  constructor(dataset, symbols, ids, lengths, aliases) {
    this.dataset = dataset;
    this.symbols = symbols;
    this.ids = ids;
    this.lengths = lengths;
    this.aliases = aliases;
    /** @type {Map<number, Promise<GeneEntries>>} */
    this.cache = new Map();
    /** @type {Promise<Float64Array> | null} */
    this.divisors = null;
    /** @type {Promise<Map<string, boolean[]>> | null} */
    this.lacking = null;
    /** @type {Promise<Float64Array> | null} */
    this.totals = null; // counts of each cell, where they had to be summed
    /** @type {Map<string, number>} */
    this.byName = new Map(); // symbols before ids before aliases, and the first gene of a name
    for (const names of [symbols, ids]) {
      names.forEach((name, token) => {
        if (!this.byName.has(name.toUpperCase())) this.byName.set(name.toUpperCase(), token);
      });
    }
    for (const [name, token] of aliases) if (!this.byName.has(name.toUpperCase())) this.byName.set(name.toUpperCase(), token);
  }

  /** @param {import("./dataset.js").Dataset} dataset */
  static async open(dataset) {
    const table = await dataset.table(dataset.named("feature_metadata"));
    const others = /** @type {string[]} */ ((dataset.manifest.var?.columns ?? []).map((/** @type {any} */ record) => record.column))
      .filter((column) => ALIASES.test(column));
    const [symbols, ids, ...lists] = await Promise.all(["gene", "gene_ids", ...others].map(async (column) =>
      (await table.read(column, 0, table.rows)).flatMap((part) => Array.from(part, (name) => String(name ?? "")))));
    const aliases = lists.flatMap((list) => list.flatMap((text, token) =>
      text.split(/[|,;]/).map((name) => /** @type {[string, number]} */ ([name.trim(), token])).filter(([name]) => name)));
    const lengths = Uint32Array.from((await table.read("n_cells", 0, table.rows)).flatMap((part) => Array.from(part, Number)));
    return new Genes(dataset, symbols, ids, lengths, aliases);
  }

  /** @returns {Unit[]} what values can be shown as, the best first */
  get units() {
    const { kind } = this.dataset.manifest;
    if (kind === "log1p") return ["log", "counts"];
    return kind === "real" ? ["log"] : ["counts"];
  }

  /** @param {Unit} unit */
  unitName(unit) {
    if (unit === "counts") return "counts";
    return this.dataset.manifest.kind === "real" ? "values" : "log-normalised";
  }

  /**
   * @param {string} name a symbol or an id, in capitals or not
   * @returns {Gene}
   */
  find(name) {
    const token = this.byName.get(name.trim().toUpperCase());
    if (token === undefined) throw new DataError(`There is no gene ${name}`, "look it up in the search box: it knows symbols and ids");
    return this.at(token);
  }

  /** @param {number} token @returns {Gene} */
  at(token) {
    return { token, symbol: this.symbols[token], id: this.ids[token] };
  }

  /**
   * Cells that express a gene, and what the dataset stores of them: counts, or values of kind "real".
   * @param {number} token
   * @returns {Promise<GeneEntries>}
   */
  entries(token) {
    let found = this.cache.get(token);
    if (found) this.cache.delete(token);
    else {
      found = this.readEntries(token);
      found.catch(() => this.cache.delete(token));
    }
    this.cache.set(token, found);
    const oldest = this.cache.size > KEPT ? this.cache.keys().next().value : undefined;
    if (oldest !== undefined) this.cache.delete(oldest);
    return found;
  }

  /** @param {number} token @returns {Promise<GeneEntries>} */
  async readEntries(token) {
    const stored = this.dataset.manifest.kind === "real" ? "values" : "counts";
    const [cells, values] = await readRow(await this.table(), ["cells", stored], token);
    const broken = cells.length !== values.length || cells.length !== this.lengths[token]
      || cells.some((cell, i) => !(cell >= 0 && cell < this.dataset.cells) || (i > 0 && cell <= cells[i - 1]));
    if (broken) throw new DataError(`${this.dataset.named("expression_by_gene")} is damaged: gene ${this.symbols[token]}`, "restore it, or build the dataset again");
    return { cells: Uint32Array.from(cells), stored: values };
  }

  /**
   * Values of a gene over all cells; NaN in those of a study that did not measure it.
   * @param {number} token
   * @param {Unit} unit
   * @returns {Promise<Float32Array>}
   */
  async values(token, unit) {
    const { manifest, cells: n } = this.dataset;
    const asStored = unit === "counts" || manifest.kind === "real";
    const [{ cells, stored }, divisors, unmeasured] = await Promise.all([this.entries(token), asStored ? null : this.scales(), this.unmeasured(token)]);
    const values = new Float32Array(n);
    const logUnit = manifest.recovery?.base && manifest.recovery.base !== "e" ? Math.log(Number(manifest.recovery.base)) : 1;
    for (let i = 0; i < cells.length; i++) {
      values[cells[i]] = divisors === null ? stored[i] : Math.log1p(stored[i] / divisors[cells[i]]) / logUnit;
    }
    unmeasured?.forEach((yes, cell) => { if (yes) values[cell] = NaN; });
    return values;
  }

  /**
   * Whether every study has measured a gene.
   * @param {number} token
   */
  async measuredByAll(token) {
    return !(await this.studiesWithout(token)).length;
  }

  /** Of each gene, whether every study has measured it; null where all studies measured all. @returns {Promise<boolean[] | null>} */
  async common() {
    this.lacking ??= this.readOnce();
    const lacking = [...(await this.lacking).values()];
    return lacking.length ? this.symbols.map((_, token) => !lacking.some((lacks) => lacks[token])) : null;
  }

  /**
   * Names of the studies that did not measure a gene: where they have no entries is no zero.
   * @param {number} token
   */
  async studiesWithout(token) {
    this.lacking ??= this.readOnce();
    return [...await this.lacking].filter(([, lacks]) => lacks[token]).map(([study]) => study);
  }

  readOnce() {
    return this.readLacking().catch((error) => {
      this.lacking = null;
      throw error;
    });
  }

  /** By study that did not measure all genes, whether it lacks each. @returns {Promise<Map<string, boolean[]>>} */
  async readLacking() {
    const { manifest } = this.dataset;
    /** @type {[string, {measured?: string | null}][]} */
    const partial = Object.entries(manifest.studies ?? {}).filter(([, study]) => /** @type {any} */ (study).measured);
    if (!partial.length) return new Map();
    const table = await this.dataset.table(this.dataset.named("feature_metadata"));
    return new Map(await Promise.all(partial.map(async ([study, { measured }]) => {
      const { column } = manifest.var.columns.find((/** @type {any} */ record) => record.name === measured) ?? { column: measured };
      const own = (await table.read(column, 0, table.rows)).flatMap((part) => Array.from(part, (yes) => !yes));
      return /** @type {[string, boolean[]]} */ ([study, own]);
    })));
  }

  /**
   * Mark the cells of studies that did not measure a gene; null where all did, or no column says of which study a cell is.
   * @param {number} token
   * @returns {Promise<Uint8Array | null>}
   */
  async unmeasured(token) {
    const without = new Set(await this.studiesWithout(token));
    const role = this.dataset.role("study");
    const column = without.size && role ? await this.dataset.read(role) : null;
    if (column?.kind !== "labels") return null;
    const lacks = column.levels.map((study) => without.has(study));
    return Uint8Array.from(column.codes, (code) => (lacks[code] ? 1 : 0));
  }

  /** The matrix by gene: its footer says where the pages of each row group are listed. */
  table() {
    return this.dataset.table(this.dataset.named("expression_by_gene"), 2 ** 17);
  }

  /** Read ahead what every gene needs. */
  async prepare() {
    await Promise.all([this.table(), this.dataset.manifest.kind === "log1p" ? this.scales() : null]);
  }

  /** What the counts of each cell are divided by; read once. */
  scales() {
    this.divisors ??= this.readScales().catch((error) => {
      this.divisors = null;
      throw error;
    });
    return this.divisors;
  }

  async readScales() {
    const { target_column: total, target_sum: share } = this.dataset.manifest.recovery ?? {};
    const column = total && share ? await this.dataset.read(this.dataset.column(total)) : null;
    if (column?.kind === "numbers") return column.values.map((value) => value / share);
    const table = await this.dataset.table(this.dataset.named("expression"), 2 ** 19);
    const scales = new Float64Array(this.dataset.cells);
    let cell = 0;
    for (const part of await table.read("scale", 0, table.rows)) {
      for (let i = 0; i < part.length; i++) scales[cell++] = Number(part[i]);
    }
    return scales;
  }
}
