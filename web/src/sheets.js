// The pages beside the map, one at a time: a gene, the composition, the genes that change.

import { PAGES } from "./address.js";
import { Ageing, placeName } from "./ageing.js";
import { DataError } from "./bytes.js";
import { changesPage } from "./changes.js";
import { compositionPage } from "./composition.js";
import { dotPlotPage } from "./dotplot.js";
import { geneCard } from "./genecard.js";
import { checkedLevels, labelsPage } from "./labelcheck.js";
import { Regulators } from "./regulators.js";
import { regulatorsPage } from "./regulatorspage.js";
import { resultsPage } from "./resultspage.js";
import { selectionsPage } from "./selectionspage.js";
import { element, visible } from "./text.js";
import { violinsPage } from "./violinspage.js";

/** @typedef {import("./address.js").State} State */
/** @typedef {import("./explorer.js").Explorer} Explorer */

/** @param {string} id */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

export class Sheets {
  /**
   * @param {Explorer} explorer
   * @param {(change: Partial<State>) => Promise<void>} act
   * @param {(place: "a" | "b" | "selection", selection: import("./selections.js").Selection) => Promise<void>} keep
   */
  constructor(explorer, act, keep) {
    this.explorer = explorer;
    this.keep = keep;
    this.act = (/** @type {Partial<State>} */ change) => act(change).catch(() => {}); // the message is shown already
    this.drawn = "";
    /** @type {string} */
    this.page = "map";
    /** @type {Map<string | undefined, Promise<Ageing>>} */
    this.tables = new Map(); // by the level of cell types
    /** @type {Promise<Regulators> | null} */
    this.regulation = null;
    part("page-labels").hidden = !checkedLevels(explorer.dataset).length;
    for (const page of PAGES) part(`page-${page}`).addEventListener("click", () => this.act({ page, ...(page === "gene" ? { card: this.geneOfMap() ?? this.explorer.state.card } : {}) }));
  }

  /** Level of cell types that pages are by: that of the state, or the coarsest of which the dataset holds what changes. */
  get level() {
    const levels = [...this.explorer.dataset.ageing.keys()];
    return levels.find((level) => level === this.explorer.state.level) ?? levels[0];
  }

  /** What changes with age by this level, read when it is first asked for. */
  ageing() {
    const { level } = this;
    let found = this.tables.get(level);
    if (!found) {
      found = Ageing.open(this.explorer.dataset, level);
      found.catch(() => this.tables.delete(level));
      this.tables.set(level, found);
    }
    return found;
  }

  /** Regulators of genes, read when they are first asked for. */
  regulators() {
    this.regulation ??= Regulators.open(this.explorer.dataset).catch((error) => {
      this.regulation = null;
      throw error;
    });
    return this.regulation;
  }

  /** The gene that the map is coloured by, or null. */
  geneOfMap() {
    const colour = this.explorer.state.colours[this.explorer.active];
    return colour && "gene" in colour ? colour.gene : null;
  }

  /** Show the page that the state names. */
  async update() {
    const { state, dark } = this.explorer;
    for (const page of PAGES) {
      if (page === state.page) part(`page-${page}`).setAttribute("aria-current", "page");
      else part(`page-${page}`).removeAttribute("aria-current");
    }
    const sheet = part("sheet");
    sheet.hidden = state.page === "map";
    this.explorer.map.cover(!sheet.hidden);
    part("main").classList.toggle("sheeted", state.page !== "map");
    const wanted = JSON.stringify([state.page, state.card, state.comparison, state.regulator, state.level, state.dots, state.grouping, state.label, state.each, state.unit, state.where, state.protocol, state.split, state.type, state.scaled, state.a, state.b, state.saved, state.page === "sets" && state.selection, state.tested, dark]);
    if (state.page === "map" || wanted === this.drawn) return;
    this.drawn = wanted;
    const { page } = state;
    sheet.setAttribute("aria-busy", "true");
    /** @type {(Node | null)[]} */
    let content;
    try {
      content = await this.content();
    } catch (error) {
      if (!(error instanceof DataError)) {
        if (wanted === this.drawn) sheet.removeAttribute("aria-busy");
        throw error;
      }
      content = [element("p", { class: "verdict" }, visible(error.message)), element("p", { class: "hint" }, visible(error.hint))];
    }
    if (wanted !== this.drawn) return;
    const focused = sheet.contains(document.activeElement) ? document.activeElement?.id : "";
    const same = page === this.page;
    sheet.replaceChildren(...content.filter((one) => one !== null));
    if (!same) sheet.scrollTop = 0;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true }); // who goes on by keyboard goes on from there
    this.page = page;
    sheet.removeAttribute("aria-busy");
  }

  /** @returns {Promise<Node[]>} */
  async content() {
    const { explorer } = this;
    const { state, dataset } = explorer;
    if (state.page === "labels") return labelsPage(dataset, this.act);
    if (state.page === "sets") {
      return selectionsPage(explorer, {
        change: this.act, keep: (place, selection) => this.keep(place, selection).catch(() => {}),
        about: { dataset: dataset.manifest.prefix, source_sha256: dataset.manifest.source?.sha256 ?? null },
      });
    }
    if (state.page === "regulators") return this.regulatorsContent();
    if (state.page === "results") return this.resultsContent();
    const names = state.dots.length ? state.dots : firstGenes(state, dataset.manifest);
    if (state.page === "violins") {
      return violinsPage(explorer, names, { change: this.act, about: { dataset: dataset.manifest.prefix, source_sha256: dataset.manifest.source?.sha256 ?? null } });
    }
    const [heading, ...rest] = await this.ageingContent(names);
    return [heading, ...this.levelChoice(), ...rest];
  }

  /** By which level of cell types a page is, where the dataset holds several. */
  levelChoice() {
    const levels = [...this.explorer.dataset.ageing.keys()];
    if (levels.length < 2) return [];
    const choice = element("select", { id: "type-level", onchange: () => this.act({ level: choice.value, type: null, comparison: null }) },
      ...levels.map((level) => element("option", { value: level, selected: level === this.level }, visible(level))));
    return [element("label", { class: "choice" }, "Cell types by ", choice)];
  }

  /**
   * Pages of what changes with age.
   * @param {string[]} names of genes of the dot plot
   * @returns {Promise<Node[]>}
   */
  async ageingContent(names) {
    const { explorer } = this;
    const { state, dataset } = explorer;
    const [ageing, genes] = await Promise.all([this.ageing(), explorer.genes()]);
    const about = { dataset: dataset.manifest.prefix, source_sha256: dataset.manifest.source?.sha256 ?? null, cell_type_level: ageing.told.cell_type_level };
    if (state.page === "composition") {
      return compositionPage(ageing, {
        about, dark: explorer.dark,
        select: (type) => this.act({ page: "map", colours: [{ obs: ageing.told.cell_type_level }], selection: { where: [{ column: ageing.told.cell_type_level, is: [type] }] } }),
      });
    }
    if (state.page === "dots") {
      return dotPlotPage(ageing, genes, { names, protocol: state.protocol, type: state.type, split: state.split, scaled: state.scaled, dark: explorer.dark }, { about, change: this.act });
    }
    if (state.page === "gene") {
      if (state.card === null) return [element("h2", {}, "A gene"), element("p", {}, "Search a gene, or choose one of those that change.")];
      const gene = genes.find(state.card);
      return geneCard(ageing, gene, {
        about, map: () => this.act({ page: "map", colours: [{ gene: gene.id }] }),
        open: (number) => this.act({ page: "changes", comparison: placeName(ageing.comparisons[number]) }),
      });
    }
    const wanted = ageing.comparisons.find((one) => placeName(one) === state.comparison) ?? mostDonors(ageing);
    return changesPage(ageing, genes, wanted?.number ?? -1, {
      about, choose: (number) => this.act({ comparison: placeName(ageing.comparisons[number]) }), card: (gene) => this.act({ page: "gene", card: gene.id }),
    });
  }

  /** @param {string} name */
  cardOrMap(name) {
    const { dataset } = this.explorer;
    return this.act(dataset.ageing.size ? { page: "gene", card: name } : { page: "map", colours: [{ gene: name }] });
  }

  async resultsContent() {
    const { dataset } = this.explorer;
    const genes = await this.explorer.genes();
    return resultsPage(dataset, {
      card: (name) => this.cardOrMap(name), open: (page) => this.act({ page }), isGene: (name) => genes.byName.has(name.toUpperCase()),
      about: { dataset: dataset.manifest.prefix, source_sha256: dataset.manifest.source?.sha256 ?? null },
    });
  }

  async regulatorsContent() {
    const { state, dataset } = this.explorer;
    const [regulators, genes] = await Promise.all([this.regulators(), this.explorer.genes()]);
    const map = (/** @type {string[]} */ names) => this.act({ page: "map", colours: [names.length === 1 ? { gene: names[0] } : { genes: names }] });
    return regulatorsPage(regulators, { regulator: state.regulator, place: state.comparison }, {
      map, change: this.act, isGene: (name) => genes.byName.has(name.toUpperCase()),
      card: (name) => this.cardOrMap(name),
      about: { dataset: dataset.manifest.prefix, source_sha256: dataset.manifest.source?.sha256 ?? null },
    });
  }
}

/**
 * For a start the genes that the map is coloured by, or the first markers of the panel.
 * @param {State} state
 * @param {any} manifest
 */
function firstGenes({ colours }, manifest) {
  const own = colours.flatMap((colour) => ("gene" in colour ? [colour.gene] : "genes" in colour ? colour.genes : []));
  return own.length ? own : Object.entries(manifest.panel?.genes ?? {}).flatMap(([name, why]) => (why === "marker" ? [name] : [])).slice(0, 20);
}

/** The comparison that is shown where none is chosen. @param {Ageing} ageing */
function mostDonors(ageing) {
  return [...ageing.comparisons].sort((a, b) => b.donors.length - a.donors.length || b.cells - a.cells)[0];
}
