// The state of the page, and what follows from it: what is read, painted and marked.

import { DataError } from "./bytes.js";
import { paint } from "./colouring.js";
import { tally } from "./conditions.js";
import { Genes } from "./genes.js";
import { anchorsOf } from "./labels.js";
import { Grid } from "./nearest.js";
import { cellsOf } from "./selections.js";
import { several } from "./text.js";

/** @typedef {import("./address.js").State} State */
/** @typedef {import("./colouring.js").Colour} Colour */
/** @typedef {import("./colouring.js").Shown} Shown */
/** @typedef {import("./colouring.js").Painted} Painted */

const MOST_PANELS = 4;
const MOST_MASKS = 32;

export class Explorer {
  /**
   * @param {import("./dataset.js").Dataset} dataset
   * @param {import("./map.js").MapView} map
   * @param {(what: "painted" | "selected" | "loading") => void} changed
   */
  constructor(dataset, map, changed) {
    this.dataset = dataset;
    this.map = map;
    this.changed = changed;
    this.dark = matchMedia("(prefers-color-scheme: dark)").matches;
    /** @type {State} */
    this.state = this.defaults();
    this.positions = new Float32Array(2 * dataset.cells).fill(NaN);
    this.ready = 0; // cells whose place is known
    this.extent = { x: 0, y: 0, width: 1, height: 1 };
    /** @type {Shown[]} */
    this.shown = [];
    /** @type {Painted[]} */
    this.painted = [];
    /** @type {Map<string, Shown>} */
    this.kept = new Map(); // of colours that need all cells, by what they were asked for as
    /** @type {WeakMap<object, {key: string, painted: Painted}>} */
    this.paints = new WeakMap();
    /** @type {Map<string, import("./labels.js").Anchor[]>} */
    this.anchors = new Map();
    /** @type {Uint8Array | null} */
    this.filter = null;
    /** @type {Uint8Array | null} */
    this.selected = null;
    /** @type {number | null} */
    this.emphasis = null; // code of the active panel that the pointer is on
    this.shades = new Uint8Array(dataset.cells).fill(2);
    /** @type {unknown[]} */
    this.decided = [null, null, null, null]; // what the shades follow from
    this.shadings = 0;
    /** @type {Map<string, Promise<Uint8Array>>} */
    this.masks = new Map(); // of selections, the latest last
    /** @type {Map<string, Promise<Float32Array>>} */
    this.places = new Map(); // of all cells on projections that are not shown
    /** @type {Promise<Genes> | null} */
    this.names = null;
    /** @type {Grid | null} */
    this.grid = null;
    /** @type {{key: string, result: import("./remote.js").RemoteResult} | null} */
    this.compared = null; // what the server has said last of A and B
    this.active = 0;
    /** @type {import("./dataset.js").ColumnInfo | null} */
    this.group = null; // column of the rows of the table; null for that of the colours, or of the types
    this.turn = 0;
    this.busy = 0;
    /** @type {Promise<ReturnType<typeof tally>> | null} */
    this.all = null;
  }

  /** @returns {State} */
  defaults() {
    const { projections, types, columns } = this.dataset;
    if (!projections.length) throw new DataError("The dataset has no projection with two dimensions", "`titin embed DATASET` adds one");
    const obs = types[0] ?? columns.find((column) => column.kind === "labels") ?? columns[0];
    return { projection: projections[0].key, colours: obs ? [{ obs: obs.name }] : [], unit: "log", where: [], selection: null, view: null, page: "map", card: null, level: null, comparison: null, regulator: null, dots: [], grouping: null, label: null, each: false, protocol: null, split: false, type: null, scaled: false, a: null, b: null, saved: [], tested: [] };
  }

  get projection() {
    return this.dataset.projections.find((projection) => projection.key === this.state.projection) ?? this.dataset.projections[0];
  }

  /** Names of genes, read when they are first asked for. */
  genes() {
    this.names ??= Genes.open(this.dataset).catch((error) => {
      this.names = null;
      throw error;
    });
    return this.names;
  }

  /**
   * Read all cells of the projection, painting what has come.
   * @param {() => void} first called when the first picture stands
   */
  async load(first = () => {}) {
    const turn = ++this.turn;
    const { projection } = this;
    const { groups } = await this.dataset.table(projection.file);
    const positions = this.positions.fill(NaN);
    this.ready = 0;
    let painted = 0;
    const fetch = (/** @type {number} */ k) => {
      if (k >= groups.length) return null;
      const { start, end } = groups[k];
      const obs = this.state.colours.flatMap((colour) => ("obs" in colour ? [this.dataset.column(colour.obs)] : []));
      const part = Promise.all([this.dataset.readCoordinates(projection, start, end, positions), ...obs.map((info) => this.dataset.read(info, end))]);
      part.catch(() => {});
      return part;
    };
    let coming = fetch(0);
    for (let k = 0; k < groups.length; k++) {
      await coming;
      if (turn !== this.turn) return;
      coming = fetch(k + 1);
      this.ready = groups[k].end;
      const last = k === groups.length - 1;
      if (!last && this.ready < 1.6 * painted) continue; // each picture costs as much as it has cells
      painted = this.ready;
      this.extent = extentOf(positions, this.ready);
      this.map.setPositions(positions, this.ready, this.extent, last);
      await this.repaint(last);
      if (turn !== this.turn) return;
      this.map.drawNow();
      if (k === 0) first();
    }
    this.grid = new Grid(positions, this.ready, this.extent);
  }

  /**
   * Read what the colours, filters and selection of the state need, and paint.
   * @param {boolean} [complete] whether all cells have come
   */
  async repaint(complete = true) {
    const { state } = this;
    this.wait(1);
    try {
      const [shown, filter, selected] = await Promise.all([
        Promise.all(state.colours.map((colour) => this.resolveOnce(colour, complete ? this.dataset.cells : this.ready))),
        complete && state.where.length ? this.maskOf({ where: state.where }) : null,
        complete && state.selection ? this.maskOf(state.selection) : null,
      ]);
      if (state !== this.state) return;
      [this.shown, this.filter, this.selected] = [shown, filter, selected];
    } finally {
      this.wait(-1);
    }
    this.active = Math.min(this.active, Math.max(0, this.shown.length - 1));
    this.painted = this.shown.map((one) => this.paintOnce(one));
    this.shade();
    this.changed("painted");
  }

  /** @param {1 | -1} step */
  wait(step) {
    this.busy += step;
    this.changed("loading");
  }

  /** Which cells are hidden, faint or full; then draw. */
  shade() {
    const { shades, filter, selected, emphasis } = this;
    const shown = this.shown[this.active];
    const codes = emphasis !== null && shown?.kind === "labels" ? shown.column.codes : null;
    const key = `${this.ready}|${this.state.projection}|${JSON.stringify(this.state.where)}`;
    const decided = [filter, selected, codes, emphasis];
    if (decided.some((one, i) => one !== this.decided[i])) {
      for (let i = 0; i < shades.length; i++) {
        shades[i] = filter && !filter[i] ? 0 : (selected && !selected[i]) || (codes && codes[i] !== emphasis) ? 1 : 2;
      }
      this.decided = decided;
      this.shadings += 1;
    }
    const { selection, projection } = this.state;
    this.map.polygon = selection && "polygon" in selection && (selection.projection ?? projection) === projection ? selection.polygon : null;
    this.map.setPanels(this.painted.map((painted, i) => {
      const one = this.shown[i];
      const column = one.kind === "labels" ? one.column : this.typesIfRead();
      const anchors = column ? this.anchorsOnce(column, key) : [];
      return { title: one.title, layer: { ...painted, shades, key: String(this.shadings) }, anchors };
    }));
  }

  /**
   * @param {import("./dataset.js").Labels} column
   * @param {string} key what the places of names depend on
   */
  anchorsOnce(column, key) {
    const whole = `${key}|${column.info.column}|${column.ready}`;
    let found = this.anchors.get(whole);
    if (!found) {
      if (this.anchors.size > 8) this.anchors.clear();
      found = anchorsOf(column, this.positions, this.shades, this.ready, this.extent);
      this.anchors.set(whole, found);
    }
    return found;
  }

  /** @param {Shown} shown */
  paintOnce(shown) {
    const subject = shown.kind === "labels" ? shown.column : shown.values;
    const key = `${this.ready}|${this.dark}`;
    let found = this.paints.get(subject);
    if (found?.key !== key) {
      found = { key, painted: paint(shown, this.ready, this.dark) };
      this.paints.set(subject, found);
    }
    return found.painted;
  }

  /**
   * As `resolve`, but what is shown already is not made again.
   * @param {Colour} colour
   * @param {number} until
   * @returns {Promise<Shown>}
   */
  async resolveOnce(colour, until) {
    if ("obs" in colour) return this.resolve(colour, until);
    const key = `${this.state.unit}|${JSON.stringify(colour)}`;
    const known = this.kept.get(key);
    if (known) return known;
    const shown = await this.resolve(colour, until);
    if (this.kept.size >= 2 * MOST_PANELS) this.kept.clear();
    this.kept.set(key, shown);
    return shown;
  }

  typesIfRead() {
    const [types] = this.dataset.types;
    const read = types ? this.dataset.known.get(types.column) : undefined;
    return read?.kind === "labels" && read.ready ? read : null;
  }

  /**
   * @param {Colour} colour
   * @param {number} until
   * @returns {Promise<Shown>}
   */
  async resolve(colour, until) {
    if ("obs" in colour) {
      const info = this.dataset.column(colour.obs);
      const level = this.dataset.types.indexOf(info); // of a finer level the coarsest gives the hues
      const [column, coarser] = await Promise.all([info, ...(level > 0 ? this.dataset.types.slice(0, 1) : [])].map((one) => this.dataset.read(one, until)));
      if (column.kind === "labels") {
        return { kind: "labels", title: info.name, unit: "", column, coarser: coarser?.kind === "labels" ? coarser : null };
      }
      return { kind: "numbers", title: column.info.name, unit: "", values: column.values, sparse: false };
    }
    const genes = await this.genes();
    if ("gene" in colour) {
      const gene = genes.find(colour.gene);
      const unit = this.unit(genes);
      return { kind: "numbers", title: gene.symbol, unit: genes.unitName(unit), values: await genes.values(gene.token, unit), sparse: true };
    }
    const byAll = await Promise.all(colour.genes.map((name) => genes.measuredByAll(genes.find(name).token)));
    const asked = colour.genes;
    const used = asked.filter((_, i) => byAll[i]); // what compares cells of several studies takes what they all measured
    const found = used.map((name) => genes.find(name));
    if (!found.length) throw new DataError("None of these genes was measured by all studies", "colour by one of them");
    const title = `mean z of ${found.length === asked.length ? "" : `${found.length} of `}${several(asked.length, "gene")}${found.length === asked.length ? "" : ", others not measured by all studies"}`;
    return { kind: "numbers", title, unit: "standard deviations", values: await this.meanOf(found), sparse: false, genes: used };
  }

  /** @param {Genes} genes */
  unit(genes) {
    return genes.units.includes(this.state.unit) ? this.state.unit : genes.units[0];
  }

  /** Mean over genes of each gene's z-score over all cells. @param {import("./genes.js").Gene[]} found */
  async meanOf(found) {
    const genes = await this.genes();
    const total = new Float64Array(this.dataset.cells);
    let used = 0;
    for (const gene of found) {
      const values = await genes.values(gene.token, genes.units[0]);
      let [sum, squares] = [0, 0];
      for (const value of values) {
        sum += value;
        squares += value * value;
      }
      const mean = sum / values.length;
      const deviation = Math.sqrt(Math.max(0, squares / values.length - mean * mean));
      if (!deviation) continue; // the same in all cells: says nothing
      used += 1;
      for (let i = 0; i < total.length; i++) total[i] += (values[i] - mean) / deviation;
    }
    for (let i = 0; i < total.length; i++) total[i] /= used || 1;
    return total;
  }

  /**
   * Which cells a selection marks; of the same selection, the same array.
   * @param {import("./selections.js").Selection} selection
   */
  maskOf(selection) {
    const key = JSON.stringify([this.state.projection, selection]);
    const mask = this.masks.get(key) ?? cellsOf(selection, this.dataset, (projection) => this.placesOn(projection ?? this.state.projection));
    mask.catch(() => this.masks.delete(key));
    this.masks.delete(key);
    this.masks.set(key, mask);
    const oldest = this.masks.size > MOST_MASKS ? this.masks.keys().next().value : undefined;
    if (oldest !== undefined) this.masks.delete(oldest);
    return mask;
  }

  /**
   * How many cells a selection has; null where it cannot be found.
   * @param {import("./selections.js").Selection} selection
   */
  async sizeOf(selection) {
    try {
      return (await this.maskOf(selection)).reduce((sum, one) => sum + one, 0);
    } catch (error) {
      if (error instanceof DataError) return null;
      throw error;
    }
  }

  /**
   * Where all cells lie on a projection, two numbers a cell.
   * @param {string} key
   */
  async placesOn(key) {
    if (key === this.state.projection && this.ready === this.dataset.cells) return this.positions.slice(); // which the next projection overwrites
    const projection = this.dataset.projections.find((one) => one.key === key) ?? this.projection;
    let places = this.places.get(key);
    if (!places) {
      const read = async () => {
        const found = new Float32Array(2 * this.dataset.cells).fill(NaN);
        await this.dataset.readCoordinates(projection, 0, this.dataset.cells, found);
        return found;
      };
      places = read();
      places.catch(() => this.places.delete(key));
      this.places.set(key, places);
    }
    return places;
  }

  /** What is selected, and shown, as one selection that is the same on every projection; null for all cells. */
  current() {
    const { selection, where, projection } = this.state;
    const own = selection && "polygon" in selection ? { ...selection, projection: selection.projection ?? projection } : selection;
    /** @type {import("./selections.js").Selection | null} */
    const shown = where.length ? { where } : null;
    return own && shown ? { join: /** @type {const} */ ("and"), of: /** @type {[import("./selections.js").Selection, import("./selections.js").Selection]} */ ([own, shown]) } : own ?? shown;
  }

  /**
   * Change the state.
   * @param {Partial<State>} change
   */
  async change(change) {
    const before = this.state;
    this.state = { ...before, ...change, colours: (change.colours ?? before.colours).slice(0, MOST_PANELS) };
    const elsewhere = this.state.projection !== before.projection;
    if (elsewhere && !("selection" in change) && before.selection && "polygon" in before.selection && !before.selection.projection) this.state.selection = null;
    if (elsewhere && !("view" in change)) this.state.view = null;
    this.map.place = this.state.view;
    try {
      await (elsewhere ? this.load() : this.repaint());
    } catch (error) {
      if (this.state.projection === before.projection) this.state = { ...before, view: this.map.place };
      throw error;
    }
  }

  /** Counts of what is selected, or of what is shown where nothing is. */
  async counts() {
    const mask = new Uint8Array(this.dataset.cells);
    for (let i = 0; i < mask.length; i++) mask[i] = (this.selected ? this.selected[i] : 1) && (this.filter ? this.filter[i] : 1) ? 1 : 0;
    return this.countsOf(mask);
  }

  /** Counts of all cells. */
  allCounts() {
    this.all ??= this.countsOf(new Uint8Array(this.dataset.cells).fill(1));
    return this.all;
  }

  /** @param {Uint8Array} mask */
  async countsOf(mask) {
    const { donor, types } = this.dataset;
    const [donors, labels] = await Promise.all([donor, types[0]].map((info) => this.dataset.labels(info)));
    return tally(mask, donors, labels);
  }
}

/**
 * @param {Float32Array} positions
 * @param {number} cells
 */
function extentOf(positions, cells) {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < 2 * cells; i += 2) {
    const [x, y] = [positions[i], positions[i + 1]];
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < low) low = y;
    if (y > high) high = y;
  }
  return right >= left && high >= low ? { x: left, y: low, width: right - left, height: high - low } : { x: 0, y: 0, width: 1, height: 1 };
}
