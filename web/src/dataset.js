// A dataset as the page sees it: what titin.json says, and columns of its cells in typed arrays.

import { DataError, RangeFile, readAll } from "./bytes.js";
import { Table } from "./parquet.js";

const MISSING = 65535; // code of a cell without a label
const MOST_LABELS = 4096; // different ones of a column that can be coloured by

/** @typedef {{name: string, column: string, kind: "labels" | "numbers", ordered: boolean, given: string[] | null, from?: {file: string, field: string, level: string, start: number}}} ColumnInfo from: of another table than that of the cells */
/** @typedef {{key: string, file: string, columns: string[]}} Projection */
/**
 * Labels of cells as codes into `levels`; cells beyond `ready` have not come yet.
 * @typedef {{kind: "labels", info: ColumnInfo, codes: Uint16Array, levels: string[], ready: number}} Labels
 */
/** @typedef {{kind: "numbers", info: ColumnInfo, values: Float64Array, ready: number}} Numbers */
/** @typedef {Labels | Numbers} CellColumn */

export class Dataset {
  /**
   * @param {string} base
   * @param {any} manifest
   */
  constructor(base, manifest) {
    this.base = base;
    this.manifest = manifest;
    this.cells = /** @type {number} */ (manifest.n_cells);
    /** @type {ColumnInfo[]} */
    this.columns = columnsOf(manifest);
    /** @type {Projection[]} */
    this.projections = projectionsOf(manifest);
    /** @type {Map<string, RangeFile>} */
    this.files = new Map();
    /** @type {Map<string, Promise<Table>>} */
    this.tables = new Map();
    /** @type {Map<string, CellColumn>} */
    this.known = new Map();
    /** @type {WeakMap<Numbers, Labels>} */
    this.numbered = new WeakMap(); // columns of numbers as labels
  }

  /** @param {string} base */
  static async open(base) {
    const restore = "restore it, or build the dataset again";
    let manifest;
    try {
      manifest = JSON.parse(new TextDecoder().decode(await readAll(base, "titin.json")));
    } catch (error) {
      if (error instanceof DataError) throw error;
      throw new DataError("titin.json is no JSON", restore);
    }
    if (manifest?.format !== "titin" || manifest.format_version !== 1) {
      throw new DataError("titin.json is not that of a dataset that this page can read", "make the page again with the titin that wrote the dataset");
    }
    return new Dataset(base, manifest);
  }

  /** Column of the donors, or null. */
  get donor() {
    return this.role("donor");
  }

  /** @param {string} role */
  role(role) {
    const named = this.manifest.roles?.[role];
    return this.columns.find((column) => column.name === String(named)) ?? null;
  }

  /** Columns of cell types, coarsest first. */
  get types() {
    /** @type {unknown[]} */
    const named = this.manifest.roles?.cell_type ?? [];
    return named.map((name) => this.columns.find((column) => column.name === String(name))).filter((found) => found !== undefined);
  }

  /** What the dataset is known by: its source and revision. */
  get revision() {
    return String(this.manifest.source?.sha256 ?? "").slice(0, 12);
  }

  /**
   * The files of a table by its plain name.
   * @param {string} name
   */
  shards(name) {
    const stem = name.replace(/\.parquet$/, "");
    const names = Object.keys(this.manifest.files)
      .filter((file) => file === name || (file.startsWith(`${stem}-`) && /^\d{5}-of-\d{5}\.parquet$/.test(file.slice(stem.length + 1))))
      .sort();
    if (!names.length) throw new DataError(`The dataset has no ${name}`, "build the dataset again");
    return names.map((file) => {
      const found = this.files.get(file) ?? new RangeFile(this.base, file, this.manifest.files[file].bytes);
      this.files.set(file, found);
      return found;
    });
  }

  /** Levels of cell types by which the dataset holds what changes with age, coarsest first, and what its tables are called after. @returns {Map<string, string>} */
  get ageing() {
    const { ageing, files, roles } = this.manifest;
    const unnamed = this.named("ageing_groups") in files ? { [String(roles?.cell_type?.[0] ?? "all cells")]: { file: "ageing" } } : {};
    /** @type {[string, any][]} */
    const levels = Object.entries(ageing ?? unnamed);
    return new Map(levels.map(([level, { file }]) => /** @type {const} */ ([level, String(file)])).sort(([, a], [, b]) => placeOf(a) - placeOf(b)));
  }

  /** @param {string} part such as "sample_metadata" */
  named(part) {
    return `${this.manifest.prefix}_${part}.parquet`;
  }

  /**
   * A table, its footer read once.
   * @param {string} name
   * @param {number} [footerBytes]
   */
  table(name, footerBytes) {
    let found = this.tables.get(name);
    if (!found) {
      found = Table.open(this.shards(name), footerBytes);
      found.catch(() => this.tables.delete(name));
      this.tables.set(name, found);
    }
    return found;
  }

  /**
   * A table of a few rows, read at once.
   * @param {string} name
   */
  small(name) {
    for (const file of this.shards(name)) file.keep();
    return this.table(name);
  }

  /** @param {string} name as people know it, or as it is stored */
  column(name) {
    const found = this.columns.find((column) => column.name === name) ?? this.columns.find((column) => column.column === name);
    if (!found) throw new DataError(`The cells have no column ${name}`, "choose one of the list");
    return found;
  }

  /**
   * Read a column up to a cell; what has been read is kept.
   * @param {ColumnInfo} info
   * @param {number} [until]
   * @returns {Promise<CellColumn>}
   */
  async read(info, until = this.cells) {
    let known = this.known.get(info.column);
    if (!known) {
      known = info.kind === "labels"
        ? { kind: "labels", info, codes: new Uint16Array(this.cells).fill(MISSING), levels: [], ready: 0 }
        : { kind: "numbers", info, values: new Float64Array(this.cells).fill(NaN), ready: 0 };
      this.known.set(info.column, known);
    }
    if (known.ready < until) {
      const { file, field, start: first } = info.from ?? { file: this.named("sample_metadata"), field: info.column, start: 0 };
      const table = await this.table(file);
      const start = known.ready;
      const parts = await table.read(field, first + start, first + until);
      if (known.ready === start) { // nobody else was faster
        if (known.kind === "labels") fillLabels(known, parts, start);
        else fillNumbers(known, parts, start);
        known.ready = until;
      } else if (known.ready < until) {
        return this.read(info, until);
      }
    }
    return known;
  }

  /**
   * A column as labels, whatever it holds: donors may be numbered.
   * @param {ColumnInfo | null | undefined} info
   * @returns {Promise<Labels | null>}
   */
  async labels(info) {
    const column = info ? await this.read(info) : null;
    if (column?.kind !== "numbers") return column;
    let found = this.numbered.get(column);
    if (!found) {
      const codes = new Uint16Array(this.cells).fill(MISSING);
      const levels = [...new Set(column.values)].filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
      if (levels.length > MOST_LABELS) throw new DataError(`${column.info.name} has more than ${MOST_LABELS} different entries`, "give its role to another column: `titin roles`");
      const code = new Map(levels.map((value, i) => [value, i]));
      column.values.forEach((value, cell) => { codes[cell] = code.get(value) ?? MISSING; });
      found = { kind: "labels", info: column.info, codes, levels: levels.map(String), ready: this.cells };
      this.numbered.set(column, found);
    }
    return found;
  }

  /**
   * Two coordinates of some cells.
   * @param {Projection} projection
   * @param {number} start
   * @param {number} end
   * @param {Float32Array} out two numbers a cell, all cells
   */
  async readCoordinates(projection, start, end, out) {
    const table = await this.table(projection.file);
    const [xs, ys] = await Promise.all(projection.columns.map((column) => table.read(column, start, end)));
    [xs, ys].forEach((parts, dimension) => {
      let cell = start;
      for (const part of parts) for (let i = 0; i < part.length; i++) out[2 * cell++ + dimension] = Number(part[i] ?? NaN);
    });
  }
}

/** Place of a level by what its tables are called after; that of the first that is kept is not named. @param {string} file */
function placeOf(file) {
  return Number(/\d+$/.exec(file)?.[0] ?? 0);
}

/** @param {any} record how a column was stored */
function isNumber(record) {
  const dtype = String(record.dtype ?? "");
  if (record.kind === "number") return !/^(bool|[|<>=]?b1)$/.test(dtype);
  return record.kind === "extension" && /^(U?Int|Float)/.test(dtype);
}

/**
 * @param {any} manifest
 * @returns {ColumnInfo[]}
 */
function columnsOf(manifest) {
  const records = manifest.obs?.columns?.slice(1) ?? [];
  /** @type {ColumnInfo[]} */
  const own = records.map((/** @type {any} */ record) => ({
    name: String(record.name), column: record.column, kind: isNumber(record) ? "numbers" : "labels",
    ordered: Boolean(record.ordered),
    given: Array.isArray(record.categories) ? record.categories.map(String) : null,
  }));
  const taken = new Set(own.map((column) => column.column));
  for (const [column, origin] of Object.entries(manifest.obs?.derived ?? {})) {
    if (taken.has(column)) continue;
    own.push({ name: column, column, kind: /** @type {any} */ (origin).type === "text" ? "labels" : "numbers", ordered: false, given: null });
  }
  return own;
}

/**
 * Projections with two dimensions or more, those made to be looked at first; places in a tissue are none of expression.
 * @param {any} manifest
 * @returns {Projection[]}
 */
function projectionsOf(manifest) {
  const rank = (/** @type {string} */ key) => [/umap/i, /t.?sne/i, /./].findIndex((pattern) => pattern.test(key));
  return Object.entries(manifest.obsm ?? {})
    .filter(([key]) => !/^(x_)?spatial/i.test(key))
    .map(([key, entry]) => ({ key, file: /** @type {any} */ (entry).file, columns: /** @type {any} */ (entry).columns.slice(1, 3).map((/** @type {any} */ c) => c.column) }))
    .filter((projection) => projection.columns.length === 2)
    .sort((a, b) => rank(a.key) - rank(b.key));
}

/**
 * @param {Labels} column
 * @param {import("./parquet.js").DecodedArray[]} parts
 * @param {number} start
 */
function fillLabels(column, parts, start) {
  const { codes, levels, info } = column;
  if (!levels.length && info.given) levels.push(...info.given);
  const code = new Map(levels.map((level, i) => [level, i]));
  let cell = start;
  for (const part of parts) {
    /** @type {Map<unknown, number>} */
    const seen = new Map(); // raw values repeat: each is made a text once
    for (let i = 0; i < part.length; i++, cell++) {
      const raw = part[i];
      let found = seen.get(raw);
      if (found === undefined) {
        if (raw === null || raw === undefined) found = MISSING;
        else {
          const text = labelOf(raw);
          found = code.get(text) ?? levels.push(text) - 1;
          code.set(text, found);
          if (levels.length > MOST_LABELS) throw new DataError(`${info.name} has more than ${MOST_LABELS} different entries`, "colour by another column");
        }
        if (typeof raw !== "object" || raw === null) seen.set(raw, found);
      }
      codes[cell] = found;
    }
  }
}

/** @param {unknown} raw */
function labelOf(raw) {
  if (typeof raw === "boolean") return raw ? "True" : "False"; // as Python and AnnData call them
  return raw instanceof Date ? raw.toISOString() : String(raw);
}

/**
 * @param {Numbers} column
 * @param {import("./parquet.js").DecodedArray[]} parts
 * @param {number} start
 */
function fillNumbers(column, parts, start) {
  let cell = start;
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) {
      const raw = part[i];
      column.values[cell++] = raw === null || raw === undefined ? NaN : Number(raw);
    }
  }
}

export { MISSING };
