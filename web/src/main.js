// The page: it opens the dataset that its address names, and ties the parts together.

import { fromAddress, toAddress } from "./address.js";
import { DataError, traffic } from "./bytes.js";
import { Dataset } from "./dataset.js";
import { Explorer } from "./explorer.js";
import { exportCells, exportPicture, exportTable } from "./exports.js";
import { MapView } from "./map.js";
import { Panels } from "./panels.js";
import { pythonOf } from "./pythoncode.js";
import { placeholder, searchBox, suggest } from "./search.js";
import { readResults } from "./resultspage.js";
import { Sheets } from "./sheets.js";
import { cardOf } from "./genecard.js";
import { dotsOf } from "./dotplot.js";
import { heatOf } from "./heatmap.js";
import { findMarkers, markersOf } from "./markers.js";
import { changesOf } from "./changes.js";
import { addLabelCheck } from "./labelcheck.js";
import { compositionOf } from "./composition.js";
import { compareGenes } from "./comparison.js";
import { compareRemotely, remotePlace } from "./remote.js";
import { fits } from "./selections.js";
import { panelGenes, sidesOfState } from "./selectionspage.js";
import { count, element, several, visible } from "./text.js";
import { violinsOfState } from "./violinspage.js";

/** @typedef {import("./address.js").State} State */

/** @template {Element} T @param {string} id @returns {T} */
const part = (id) => /** @type {T} */ (/** @type {unknown} */ (document.getElementById(id)));

/** @param {unknown} error */
function complain(error) {
  const [message, hint] = error instanceof DataError ? [error.message, error.hint]
    : [error instanceof Error ? error.message : String(error), "load the page again; if that does not help, tell the makers of titin"];
  const box = part("message");
  box.replaceChildren(
    element("p", {}, visible(message)), element("p", { class: "hint" }, visible(hint)),
    element("button", { type: "button", onclick: () => { /** @type {HTMLElement} */ (box).hidden = true; } }, "Close"));
  /** @type {HTMLElement} */ (box).hidden = false;
}

async function start() {
  if (new URLSearchParams(location.search).has("token")) { // the server knows it by a cookie now, and no link shall hold it
    history.replaceState(null, "", location.pathname + location.hash);
  }
  const meta = document.querySelector("meta[name=titin-data]");
  const base = new URL(meta?.getAttribute("content") || "data/", document.baseURI).href;
  const dataset = await Dataset.open(base);
  await addLabelCheck(dataset);
  const { manifest } = dataset;
  document.title = `${visible(manifest.prefix)} – titin`;
  part("title").textContent = visible(manifest.prefix);
  part("facts").textContent = `${several(dataset.cells, "cell")}, ${several(manifest.n_genes, "gene")}`;

  if (!document.createElement("canvas").getContext("webgl2")) {
    throw new DataError("This browser shows no WebGL2, which the map is drawn with", "switch hardware acceleration on, or use a current Firefox, Chrome, Edge or Safari");
  }
  /** @type {ReturnType<typeof setTimeout>} */
  let later;
  const map = new MapView(part("map"), {
    moved: () => {
      explorer.state = { ...explorer.state, view: map.place };
      clearTimeout(later);
      later = setTimeout(() => history.replaceState(null, "", `#${toAddress(explorer.state)}`), 300);
    },
    drawn: (polygon) => act({ selection: { polygon } }),
    pointed: (x, y, radius) => panels.point(x, y, radius),
    left: () => panels.unpoint(),
  });
  const explorer = new Explorer(dataset, map, (what) => {
    panels.update(what);
    if (what === "painted") sheets.update().catch(complain);
  });
  const act = (/** @type {Partial<State>} */ change) => perform(() => explorer.change(change));
  const panels = new Panels(explorer, act);
  const keep = (/** @type {"a" | "b" | "selection"} */ place, /** @type {import("./selections.js").Selection} */ selection) => perform(async () => {
    const mask = await explorer.maskOf(selection); // refused before it is kept
    await explorer.change({ [place]: selection });
    const name = place === "selection" ? "selected" : `kept as ${place.toUpperCase()}`;
    part("status").textContent = `${several(mask.reduce((sum, one) => sum + one, 0), "cell")} ${name}.`;
  });
  const sheets = new Sheets(explorer, act, keep);

  /** @param {() => Promise<unknown>} work */
  async function perform(work) {
    try {
      await work();
      const address = `#${toAddress(explorer.state)}`;
      if (address !== location.hash) history.pushState(null, "", address);
    } catch (error) {
      complain(error);
      throw error;
    }
  }

  const ready = Promise.withResolvers();
  const complete = Promise.withResolvers();
  ready.promise.catch(() => {});
  complete.promise.catch(() => {});
  Object.assign(window, {
    titin: {
      ready: ready.promise,
      complete: complete.promise,
      state: () => structuredClone(explorer.state),
      setState: (/** @type {Partial<State>} */ state) => act({ ...explorer.defaults(), ...state }),
      colour: (/** @type {import("./colouring.js").Colour} */ colour) => act({ colours: [colour] }),
      values: () => {
        const shown = explorer.shown[explorer.active];
        return shown?.kind === "labels" ? shown.column.codes.slice() : shown?.values.slice();
      },
      select: async (/** @type {State["selection"]} */ selection) => {
        await act({ selection });
        return explorer.counts();
      },
      card: async (/** @type {string} */ name) => {
        const [ageing, genes] = await Promise.all([sheets.ageing(), explorer.genes()]);
        return cardOf(ageing, genes.find(name));
      },
      dots: async (/** @type {string[]} */ names, /** @type {string} */ protocol, /** @type {boolean} */ split) => {
        const genes = await explorer.genes();
        return dotsOf(await sheets.ageing(), names.map((name) => genes.find(name)), protocol, split);
      },
      heat: async (/** @type {string[]} */ names, /** @type {string} */ protocol, /** @type {string} */ type) => {
        const genes = await explorer.genes();
        return heatOf(await sheets.ageing(), names.map((name) => genes.find(name)), protocol, type);
      },
      markers: async (/** @type {string} */ protocol, /** @type {string} */ type) => {
        const [ageing, genes] = await Promise.all([sheets.ageing(), explorer.genes()]);
        return markersOf(await findMarkers(ageing, protocol), type)?.map((one) => ({ ...genes.at(one.token), ...one })) ?? null;
      },
      keep,
      compare: async (/** @type {string[] | "panel"} */ names) => {
        const { prepared } = await sidesOfState(explorer);
        if (!prepared) throw new DataError("There are no A and B", "keep both first");
        const genes = await explorer.genes();
        const asked = names === "panel" ? panelGenes(genes) : names.map((name) => genes.find(name));
        const { refusal, plans, sides } = prepared;
        return { refusal, plans, sides, ...(refusal ? { found: [], left: [] } : await compareGenes(genes, prepared, asked)) };
      },
      compareAll: async () => {
        const { a, b } = await sidesOfState(explorer);
        const place = remotePlace();
        if (!a || !b || !place) throw new DataError("All genes are compared by `titin explore`, of A and B", "keep both, in a page that it serves");
        return compareRemotely(place, a, b);
      },
      violins: async (/** @type {string[]} */ names, /** @type {Partial<State>} */ state = {}) => {
        await act({ grouping: null, label: null, each: false, ...state });
        return violinsOfState(explorer, names);
      },
      results: () => readResults(),
      regulators: async () => (await sheets.regulators()).rows,
      regulator: async (/** @type {string} */ name) => (await sheets.regulators()).of(name),
      composition: async () => compositionOf(await sheets.ageing()),
      changes: async (/** @type {number} */ comparison) => changesOf(await sheets.ageing(), await explorer.genes(), comparison),
      redraw: () => map.drawNow(),
      pan: async (/** @type {number} */ dx) => {
        map.pan(dx, 0);
        map.drawNow(true);
      },
      extent: () => ({ ...explorer.extent }),
      traffic: () => ({ ...traffic }),
    },
  });

  explorer.state = { ...explorer.state, ...known(fromAddress(location.hash), dataset) };
  map.place = explorer.state.view;
  addEventListener("popstate", () => {
    explorer.change({ ...explorer.defaults(), ...known(fromAddress(location.hash), dataset) }).catch(complain);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
    explorer.dark = map.dark = event.matches;
    explorer.repaint().catch(complain);
  });
  wireControls(explorer, panels, act);
  wireSelections(explorer, keep);
  await dropUnfound(explorer);

  try {
    await explorer.load(() => ready.resolve(undefined));
    history.replaceState(null, "", `#${toAddress(explorer.state)}`);
    complete.resolve(undefined);
    const genes = await explorer.genes();
    part("search").setAttribute("placeholder", placeholder(genes.symbols.length));
    await panels.describe();
  } catch (error) {
    ready.reject(error);
    complete.reject(error);
    throw error;
  }
}

/**
 * What of a state the dataset has.
 * @param {Partial<State>} state
 * @param {Dataset} dataset
 */
function known(state, dataset) {
  if (!dataset.projections.some((projection) => projection.key === state.projection)) delete state.projection;
  const has = (/** @type {string} */ name) => dataset.columns.some((column) => column.name === name);
  if (state.colours) state.colours = state.colours.filter((colour) => !("obs" in colour) || has(colour.obs));
  if (!state.colours?.length) delete state.colours;
  if (typeof state.grouping === "object" && state.grouping && !has(state.grouping.column)) delete state.grouping;
  if (state.level && !dataset.ageing.has(state.level)) delete state.level;
  if (state.where) state.where = state.where.filter((condition) => has(condition.column));
  if (state.saved) state.saved = state.saved.filter((selection) => fits(selection, dataset));
  for (const place of /** @type {const} */ (["selection", "a", "b"])) {
    const selection = state[place];
    if (selection && !fits(selection, dataset)) delete state[place];
  }
  return state;
}

/**
 * Let go of a selection of the address of which no cell can be found, and say so.
 * @param {Explorer} explorer
 */
async function dropUnfound(explorer) {
  const { selection } = explorer.state;
  if (!selection || "polygon" in selection || "where" in selection) return; // which name what is there
  try {
    await explorer.maskOf(selection);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    complain(error);
    explorer.state = { ...explorer.state, selection: null };
  }
}

/**
 * @param {Explorer} explorer
 * @param {Panels} panels
 * @param {(change: Partial<State>) => Promise<void>} act
 */
function wireControls(explorer, panels, act) {
  const { map, dataset } = explorer;
  const quietly = (/** @type {Promise<unknown>} */ work) => work.catch(() => {}); // the message is shown already
  searchBox(part("search"), part("suggestions"),
    async (text) => suggest(text, await explorer.genes(), dataset.columns),
    (colour) => {
      if (explorer.state.page === "gene" && "gene" in colour) return void quietly(act({ card: colour.gene }));
      const beside = /** @type {HTMLInputElement} */ (part("beside")).checked;
      const colours = beside ? [...explorer.state.colours, colour].slice(-4) : [colour];
      explorer.active = colours.length - 1;
      quietly(act({ colours, page: "map" }));
    });
  part("search").addEventListener("focus", () => { // what the first gene needs comes while its name is typed
    explorer.genes().then((genes) => genes.prepare()).catch(() => {});
  }, { once: true });
  for (const mode of /** @type {const} */ (["pan", "lasso", "rectangle"])) {
    part(`mode-${mode}`).addEventListener("click", () => {
      map.mode = mode;
      for (const other of ["pan", "lasso", "rectangle"]) part(`mode-${other}`).setAttribute("aria-pressed", String(other === mode));
    });
  }
  part("zoom-in").addEventListener("click", () => map.zoom(1.5));
  part("zoom-out").addEventListener("click", () => map.zoom(1 / 1.5));
  part("zoom-all").addEventListener("click", () => map.moveTo(null));
  part("clear").addEventListener("click", () => quietly(act({ selection: null })));
  addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement && event.target.type !== "checkbox";
    if (event.key === "/" && !typing) {
      event.preventDefault();
      /** @type {HTMLElement} */ (part("search")).focus();
    } else if (event.key === "Escape" && !typing && explorer.state.selection) quietly(act({ selection: null }));
  });
  const actions = {
    "copy-link": () => copy(location.href, "The link"),
    "copy-python": () => copy(pythonOf(explorer), "The Python code"),
    "save-png": () => exportPicture(explorer, "png"),
    "save-svg": () => exportPicture(explorer, "svg"),
    "save-cells": () => exportCells(explorer),
    "save-table": () => exportTable(explorer),
  };
  for (const [id, action] of Object.entries(actions)) {
    part(id).addEventListener("click", () => {
      part("share").removeAttribute("open");
      Promise.resolve(action()).catch(complain);
    });
  }
  panels.fillControls();
}

/**
 * What is selected is kept as A or B, and cells are selected by an expression.
 * @param {Explorer} explorer
 * @param {(place: "a" | "b" | "selection", selection: import("./selections.js").Selection) => Promise<void>} keep
 */
function wireSelections(explorer, keep) {
  const words = /** @type {HTMLInputElement} */ (part("words"));
  part("by-words").addEventListener("submit", (event) => {
    event.preventDefault();
    const filter = words.value.trim();
    if (filter) keep("selection", { filter }).catch(() => {});
  });
  for (const side of /** @type {const} */ (["a", "b"])) {
    part(`keep-${side}`).addEventListener("click", () => {
      const current = explorer.current();
      if (current) keep(side, current).catch(() => {});
      else complain(new DataError("No cells are selected", "draw a lasso or rectangle, click a label of the legend, or write an expression"));
    });
  }
}

/** @param {string} text @param {string} what */
async function copy(text, what) {
  await navigator.clipboard.writeText(text);
  part("status").textContent = `${what} is copied (${count(text.length)} characters).`;
}

start().catch(complain);
