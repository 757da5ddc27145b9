// What stands around the map: choices, legend, the card of what is selected, and what the pointer is on.

import { MISSING } from "./dataset.js";
import { groupRows } from "./groups.js";
import { legendRows } from "./saved.js";
import { sayCondition } from "./selections.js";
import { count, element, measure, percent, several, visible } from "./text.js";

/** @typedef {import("./explorer.js").Explorer} Explorer */
/** @typedef {import("./address.js").State} State */
/** @typedef {import("./conditions.js").Condition} Condition */

const MANY = 500_000; // cells
const LONG = 20; // labels from which on they can be searched

/** @param {string} id */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

export class Panels {
  /**
   * @param {Explorer} explorer
   * @param {(change: Partial<State>) => Promise<void>} act
   */
  constructor(explorer, act) {
    this.explorer = explorer;
    this.act = (/** @type {Partial<State>} */ change) => act(change).catch(() => {}); // the message is shown already
  }

  /** The lists of projections, columns and units. */
  fillControls() {
    const { dataset } = this.explorer;
    const choices = (/** @type {string} */ id, /** @type {[string, string][]} */ options, /** @type {(value: string) => void} */ choose) => {
      const list = /** @type {HTMLSelectElement} */ (part(id));
      list.replaceChildren(...options.map(([value, text]) => element("option", { value }, visible(text))));
      list.addEventListener("change", () => choose(list.value));
    };
    choices("projection", dataset.projections.map(({ key }) => [key, key.replace(/^X_/, "")]), (projection) => this.act({ projection }));
    choices("column", [["", "– a gene –"], ...dataset.columns.map(({ name }) => /** @type {[string, string]} */ ([name, name]))], (obs) => {
      if (obs) this.act({ colours: this.replaced({ obs }) });
    });
    const groups = [...new Set([...dataset.types, ...["donor", "sample", "sex", "age", "protocol"].map((role) => dataset.role(role))])]
      .filter((column) => column?.kind === "labels");
    choices("group", [["", "as coloured, or types"], ...groups.map((column) => /** @type {[string, string]} */ ([column?.name ?? "", column?.name ?? ""]))], (name) => {
      this.explorer.group = name ? dataset.column(name) : null;
      this.describe().catch(() => {});
    });
    choices("unit", [["log", "log-normalised"], ["counts", "counts"]], (unit) => this.act({ unit: /** @type {any} */ (unit) }));
  }

  /** The colours with the active one replaced. @param {import("./colouring.js").Colour} colour */
  replaced(colour) {
    return this.explorer.state.colours.map((other, i) => (i === this.explorer.active ? colour : other));
  }

  /** @param {"painted" | "selected" | "loading"} what */
  update(what) {
    const { explorer } = this;
    part("map").classList.toggle("busy", explorer.busy > 0);
    if (what === "loading" || explorer.state.page !== "map") return; // where another page lies over these, they wait
    const { state, dataset, active } = explorer;
    const colour = state.colours[active];
    /** @type {HTMLSelectElement} */ (part("projection")).value = state.projection;
    /** @type {HTMLSelectElement} */ (part("column")).value = colour && "obs" in colour ? colour.obs : "";
    /** @type {HTMLSelectElement} */ (part("unit")).value = state.unit;
    part("units").hidden = !state.colours.some((one) => "gene" in one) || dataset.manifest.kind !== "log1p";
    this.chips();
    this.legend();
    this.conditions();
    this.kept().catch(() => {});
    if (explorer.ready === dataset.cells) this.describe().catch(() => {});
  }

  chips() {
    const { explorer } = this;
    const several_ = explorer.shown.length > 1;
    part("chips").replaceChildren(...explorer.shown.map((shown, i) => element(
      "li", { class: "chip" },
      element("button", { type: "button", "aria-pressed": String(i === explorer.active), onclick: () => { explorer.active = i; explorer.shade(); this.update("painted"); } },
        visible(shown.title)),
      several_ ? element("button", {
        type: "button", class: "remove", "aria-label": `Remove ${visible(shown.title)}`,
        onclick: () => this.act({ colours: explorer.state.colours.filter((_, k) => k !== i) }),
      }, "×") : null)));
    part("chips").hidden = !several_;
  }

  legend() {
    const { explorer } = this;
    const [shown, painted] = [explorer.shown[explorer.active], explorer.painted[explorer.active]];
    const box = part("legend");
    if (!shown || !painted) {
      box.replaceChildren();
      return;
    }
    part("legend-title").textContent = visible(shown.title) + (shown.unit ? ` (${shown.unit})` : "");
    box.replaceChildren(...(shown.kind === "labels" ? this.labelRows(shown.column, painted) : this.rampRows(shown, painted)));
  }

  /**
   * @param {import("./dataset.js").Labels} column
   * @param {import("./colouring.js").Painted} painted
   */
  labelRows(column, painted) {
    const { explorer } = this;
    const counts = new Uint32Array(column.levels.length);
    for (let i = 0; i < explorer.ready; i++) if (column.codes[i] !== MISSING) counts[column.codes[i]] += 1;
    const { name } = column.info;
    const hidden = new Set(explorer.state.where.flatMap((condition) => (condition.column === name ? condition.not ?? [] : [])));
    const rows = painted.entries.filter(({ code }) => counts[code] || hidden.has(column.levels[code])).map(({ label, code, colour }) => {
      const swatch = element("span", { class: "swatch" });
      swatch.style.background = colour; // by the style object: the policy of the page allows no style attribute
      return element("li", {
        class: "row",
        onpointerenter: () => this.emphasise(code), onpointerleave: () => this.emphasise(null),
      },
      element("input", {
        type: "checkbox", checked: !hidden.has(label), "aria-label": `Show ${visible(label)}`,
        onchange: () => this.toggle(name, label, hidden),
      }),
      swatch,
      element("button", {
        type: "button", class: "pick", title: "Select these cells",
        onclick: () => this.act({ selection: { where: [{ column: name, is: [label] }] } }),
      }, visible(label)),
      element("span", { class: "number" }, count(counts[code])));
    });
    const list = element("ul", { class: "rows" }, ...rows);
    if (rows.length <= LONG) return [list];
    const sift = element("input", {
      type: "search", class: "sift", placeholder: `Find among ${rows.length}`, "aria-label": `Find a label of ${visible(name)}`,
      oninput: () => {
        const wanted = sift.value.toLowerCase();
        for (const row of rows) row.hidden = !(row.querySelector(".pick")?.textContent ?? "").toLowerCase().includes(wanted);
      },
    });
    return [sift, list];
  }

  /**
   * @param {{values: Float32Array | Float64Array, sparse: boolean}} shown
   * @param {import("./colouring.js").Painted} painted
   */
  rampRows({ values, sparse }, { scale }) {
    if (!scale) return [];
    const bar = element("div", { class: "ramp" });
    bar.style.background = `linear-gradient(90deg, ${scale.stops.join(", ")})`;
    let expressing = 0;
    for (const value of values) if (value) expressing += 1; // NaN, which is no value, is none
    const ends = element("div", { class: "ends" }, element("span", {}, measure(scale.low)), element("span", {}, (scale.clipped ? "≥ " : "") + measure(scale.high)));
    const swatch = element("span", { class: "swatch" });
    swatch.style.background = scale.zero ?? "";
    const { unmeasured } = scale;
    const other = element("span", { class: "swatch" });
    other.style.background = unmeasured?.colour ?? "";
    const measured = values.length - (unmeasured?.cells ?? 0);
    return sparse
      ? [bar, ends, element("p", {}, swatch, ` no counts; ${several(expressing, "cell")} (${percent(expressing, measured)}) ${expressing === 1 ? "has" : "have"} some`),
        ...(unmeasured ? [element("p", { class: "unmeasured" }, other, ` not measured in ${several(unmeasured.cells, "cell")}: no zero, counted nowhere`)] : [])]
      : [bar, ends, this.rangeForm(scale)];
  }

  /**
   * Two numbers between which cells are kept.
   * @param {{low: number, high: number}} scale
   */
  rangeForm({ low, high }) {
    const { explorer } = this;
    const colour = explorer.state.colours[explorer.active];
    if (!colour || !("obs" in colour)) return "";
    const field = (/** @type {string} */ text, /** @type {number} */ value) => element("input", { type: "number", step: "any", "aria-label": text, placeholder: measure(value) });
    const [from, to] = [field("from", low), field("to", high)];
    return element("form", {
      class: "range",
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        /** @type {Condition} */
        const condition = { column: colour.obs };
        if (from.value) condition.from = Number(from.value);
        if (to.value) condition.to = Number(to.value);
        const others = explorer.state.where.filter((other) => other.column !== colour.obs);
        this.act({ where: from.value || to.value ? [...others, condition] : others });
      },
    }, from, to, element("button", {}, "Keep these"));
  }

  /** @param {number | null} code */
  emphasise(code) {
    if (this.explorer.dataset.cells > MANY) return; // each would take longer than the pointer stays
    this.explorer.emphasis = code;
    this.explorer.shade();
  }

  /** @param {string} column @param {string} label @param {Set<string>} hidden */
  toggle(column, label, hidden) {
    const next = new Set(hidden);
    if (!next.delete(label)) next.add(label);
    const others = this.explorer.state.where.filter((condition) => condition.column !== column || !condition.not);
    this.act({ where: next.size ? [...others, { column, not: [...next] }] : others });
  }

  /** What is kept as A and B, and saved. */
  async kept() {
    const { explorer } = this;
    const { a, b, saved } = explorer.state;
    const [kept, sides] = [[a, b, ...saved], part("kept")];
    sides.hidden = !kept.some((one) => one);
    if (sides.hidden || explorer.ready < explorer.dataset.cells) return;
    const rows = await legendRows(explorer, (selection) => this.act({ selection }));
    const now = explorer.state;
    if (kept.every((one, i) => one === [now.a, now.b, ...now.saved][i])) part("kept-rows").replaceChildren(...rows);
  }

  conditions() {
    const { state } = this.explorer;
    part("conditions").replaceChildren(...state.where.map((condition) => element(
      "li", { class: "chip" }, element("span", {}, visible(sayCondition(condition))),
      element("button", {
        type: "button", class: "remove", "aria-label": `Remove the filter ${visible(sayCondition(condition))}`,
        onclick: () => this.act({ where: state.where.filter((other) => other !== condition) }),
      }, "×"))));
  }

  /** The card of what is selected, and the map in words. */
  async describe() {
    const { explorer } = this;
    const { state, dataset } = explorer;
    const counts = await explorer.counts();
    const age = dataset.role("age"); // which the pointer tells of each cell
    if (age) await dataset.read(age);
    if (state !== explorer.state) return;
    const donors = counts.donors === null ? "" : ` of ${several(counts.donors, "donor")}`;
    const what = state.selection ? `selected${state.selection.name ? `: ${visible(state.selection.name)}` : ""}` : state.where.length ? "shown" : "in all";
    part("card-title").textContent = `${several(counts.cells, "cell")}${donors}`;
    part("card-note").textContent = what;
    part("clear").hidden = !state.selection;
    const shown = explorer.shown[explorer.active];
    part("card-table").replaceChildren(await this.table(shown));
    const colours = explorer.shown.map((one) => visible(one.title)).join(", ");
    part("map-text").textContent = `Map of ${explorer.projection.key.replace(/^X_/, "")}, coloured by ${colours}: `
      + `${several(counts.cells, "cell")}${donors} ${what}, of ${several(dataset.cells, "cell")}.`;
    part("facts").textContent = `${several(dataset.cells, "cell")}, ${several(dataset.manifest.n_genes, "gene")}`
      + (dataset.donor ? `, ${several(Object.keys((await explorer.allCounts()).byDonor).length, "donor")}` : "");
  }

  /**
   * What is selected by type: counts, and of a number its mean over cells and the share above zero.
   * @param {import("./colouring.js").Shown | undefined} shown
   */
  async table(shown) {
    const { heads, rows } = await groupRows(this.explorer, shown);
    const most = Math.max(1, ...rows.map((row) => row.cells));
    return element("table", {},
      element("thead", {}, element("tr", {}, ...heads.map((head, i) => element("th", { scope: "col", class: i ? "number" : "" }, visible(head))))),
      element("tbody", {}, ...rows.map((row) => {
        const bar = element("span", { class: "bar" });
        bar.style.width = `${100 * row.cells / most}%`;
        return element("tr", {}, element("th", { scope: "row" }, visible(row.label), bar), ...row.texts.map((text) => element("td", { class: "number" }, text)));
      })));
  }

  /** @param {number} x @param {number} y @param {number} radius */
  point(x, y, radius) {
    const { explorer } = this;
    const cell = explorer.grid?.find(x, y, radius, explorer.shades) ?? -1;
    const tip = part("tip");
    tip.hidden = cell < 0;
    if (cell < 0) return;
    const { dataset } = explorer;
    const lines = [...new Set([...dataset.types.slice(0, 1), dataset.donor, dataset.role("age"), ...explorer.state.colours.flatMap((colour) => ("obs" in colour ? [dataset.column(colour.obs)] : []))])]
      .flatMap((info) => {
        const column = info ? dataset.known.get(info.column) : undefined;
        return column && column.ready > cell ? [`${column.info.name}: ${valueOf(column, cell)}`] : [];
      });
    for (const shown of explorer.shown) if (shown.kind === "numbers" && shown.unit) lines.push(`${shown.title}: ${Number.isNaN(shown.values[cell]) ? "not measured" : `${measure(shown.values[cell])} (${shown.unit})`}`);
    tip.replaceChildren(...lines.map((line) => element("div", {}, visible(line))));
    const [px, py] = explorer.map.project(explorer.positions[2 * cell], explorer.positions[2 * cell + 1], explorer.map.boxes()[0]);
    tip.style.transform = `translate(${Math.min(px + 12, explorer.map.root.clientWidth - tip.offsetWidth - 4)}px, ${Math.max(4, py - 12 - tip.offsetHeight)}px)`;
  }

  unpoint() {
    part("tip").hidden = true;
  }
}

/** @param {import("./dataset.js").CellColumn} column @param {number} cell */
function valueOf(column, cell) {
  if (column.kind === "numbers") return measure(column.values[cell]);
  return column.codes[cell] === MISSING ? "–" : column.levels[column.codes[cell]];
}

