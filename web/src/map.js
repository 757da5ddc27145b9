// The map: panels side by side with one view, moved and selected by pointer or keyboard.

import { densityOf } from "./density.js";
import { fitting } from "./labels.js";
import { neutral } from "./palette.js";
import { Renderer } from "./renderer.js";
import { element, visible } from "./text.js";

/** @typedef {{x: number, y: number, zoom: number}} Place centre in coordinates of the projection; zoom 1 shows all */
/** @typedef {{x: number, y: number, width: number, height: number}} Extent */
/** @typedef {"pan" | "lasso" | "rectangle"} Mode */
/** @typedef {{title: string, layer: import("./renderer.js").Layer, anchors: import("./labels.js").Anchor[]}} Panel */

const SVG = "http://www.w3.org/2000/svg";
const MOST_ZOOM = 500;
const MANY = 500_000; // cells whose picture takes so long that a sample of them is drawn first

export class MapView {
  /**
   * @param {HTMLElement} root
   * @param {{moved: () => void, drawn: (polygon: [number, number][]) => void, pointed: (x: number, y: number, radius: number) => void, left: () => void}} on
   */
  constructor(root, on) {
    this.root = root;
    this.on = on;
    this.canvas = element("canvas", { tabindex: 0, role: "img", "aria-describedby": "map-text", "aria-label": "Map of cells" });
    this.overlay = element("div", { class: "overlay" });
    root.prepend(this.canvas, this.overlay);
    this.renderer = new Renderer(this.canvas);
    this.renderer.restored = () => this.draw();
    /** @type {Extent} */
    this.extent = { x: -1, y: -1, width: 2, height: 2 };
    /** @type {Place | null} */
    this.place = null;
    /** @type {Mode} */
    this.mode = "pan";
    /** @type {Panel[]} */
    this.panels = [];
    /** @type {{name: HTMLElement, width: number, height: number}[][]} */
    this.names = [];
    /** @type {[number, number][] | null} */
    this.polygon = null;
    /** @type {Map<number, PointerEvent>} */
    this.pointers = new Map();
    /** @type {[number, number][] | null} */
    this.drawing = null;
    this.frame = 0;
    this.dark = matchMedia("(prefers-color-scheme: dark)").matches;
    this.settle = 0;
    this.covered = false; // by another page
    this.listen();
    new ResizeObserver(() => this.draw()).observe(root);
  }

  /** @returns {Place} */
  get view() {
    return this.place ?? { x: this.extent.x + this.extent.width / 2, y: this.extent.y + this.extent.height / 2, zoom: 1 };
  }

  /** Pixels a unit. */
  get scale() {
    const [box] = this.boxes();
    return 0.94 * this.view.zoom * Math.min(box.width / (this.extent.width || 1), box.height / (this.extent.height || 1));
  }

  /** Places of the panels, in CSS pixels. */
  boxes() {
    const [width, height] = [Math.max(1, this.root.clientWidth), Math.max(1, this.root.clientHeight)];
    const n = Math.max(1, this.panels.length);
    const columns = n === 1 ? 1 : n === 2 && height > 1.3 * width ? 1 : 2;
    const rows = Math.ceil(n / columns);
    return Array.from({ length: n }, (_, i) => ({
      x: (i % columns) * width / columns, y: Math.floor(i / columns) * height / rows, width: width / columns, height: height / rows,
    }));
  }

  /**
   * @param {Float32Array} positions
   * @param {number} cells how many have come
   * @param {Extent} extent
   * @param {boolean} last whether these are all cells: only then is it known where they lie on each other
   */
  setPositions(positions, cells, extent, last) {
    this.extent = extent;
    this.renderer.setPositions(positions, cells, last ? densityOf(positions, cells, extent) : new Uint8Array(cells));
  }

  /** @param {Panel[]} panels */
  setPanels(panels) {
    const before = this.panels;
    this.panels = panels;
    this.renderer.setLayers(panels.map((panel) => panel.layer));
    if (panels.length !== before.length || panels.some(({ title, anchors }, i) => title !== before[i].title || anchors !== before[i].anchors)) this.writeNames();
    this.draw(this.renderer.cells > MANY); // a sample at once, all of them after it
  }

  /** Write the names of all panels, and measure them once. */
  writeNames() {
    const { panels } = this;
    this.overlay.replaceChildren(...panels.map(({ title, anchors }) => {
      const names = anchors.map((anchor) => element("span", { class: "name" }, visible(anchor.text)));
      const lines = document.createElementNS(SVG, "svg");
      lines.append(document.createElementNS(SVG, "polygon"));
      return element("div", { class: "panel" }, /** @type {any} */ (lines), ...names, panels.length > 1 ? element("h3", {}, visible(title)) : null);
    }));
    this.names = [...this.overlay.children].map((panel) => (/** @type {HTMLElement[]} */ ([...panel.querySelectorAll(".name")]))
      .map((name) => ({ name, width: name.offsetWidth + 6, height: name.offsetHeight + 2 })));
  }

  /** Say whether another page lies over the map: nothing is drawn then. @param {boolean} yes */
  cover(yes) {
    if (yes === this.covered) return;
    this.covered = yes;
    clearTimeout(this.settle);
    cancelAnimationFrame(this.frame);
    this.draw(this.renderer.cells > MANY);
  }

  /** Draw soon, once for many calls. @param {boolean} [moving] */
  draw(moving = false) {
    if (this.covered) return;
    if (moving) {
      clearTimeout(this.settle);
      this.settle = setTimeout(() => this.draw(), 150);
    }
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.drawNow(moving));
  }

  drawNow(moving = false) {
    const ratio = devicePixelRatio;
    const [width, height] = [Math.round(this.root.clientWidth * ratio), Math.round(this.root.clientHeight * ratio)];
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) [this.canvas.width, this.canvas.height] = [width, height];
    this.renderer.draw(this.boxes(), this.camera(), { moving, ratio, ...this.points() });
    this.placeNames();
  }

  camera() {
    const { x, y } = this.view;
    return { x, y, scale: this.scale };
  }

  /** Size and opacity of points: smaller where there are many; where they lie on each other translucent, and shaded by how many. @returns {Omit<import("./renderer.js").How, "moving" | "ratio">} */
  points() {
    const [box] = this.boxes();
    const n = Math.max(1, this.renderer.cells);
    const size = Math.min(12, Math.min(7, Math.max(1.5, 1.1 * Math.sqrt(box.width * box.height / n))) * this.view.zoom ** 0.4);
    const cover = n * size * size / (box.width * box.height * this.view.zoom ** 2);
    const [paper, share] = this.dark ? [255, 0.3] : [0, 0.28];
    const overlap = Math.min(1, Math.max(0, (cover - 0.3) / 0.9));
    return { size, opacity: cover > 1.5 ? 0.65 : 0.85, faint: 0.35, grey: neutral(this.dark), shading: [paper, paper, paper, share * overlap] };
  }

  /** Coordinates of a place on the page, and the panel it lies in. @param {number} clientX @param {number} clientY */
  locate(clientX, clientY) {
    const rectangle = this.root.getBoundingClientRect();
    const [px, py] = [clientX - rectangle.left, clientY - rectangle.top];
    const boxes = this.boxes();
    const panel = Math.max(0, boxes.findIndex((box) => px >= box.x && px < box.x + box.width && py >= box.y && py < box.y + box.height));
    const box = boxes[panel];
    const { x, y, scale } = this.camera();
    return { panel, x: x + (px - box.x - box.width / 2) / scale, y: y - (py - box.y - box.height / 2) / scale };
  }

  /** Where coordinates lie in a panel. @param {number} x @param {number} y @param {Extent} box */
  project(x, y, box) {
    const camera = this.camera();
    return [box.width / 2 + (x - camera.x) * camera.scale, box.height / 2 - (y - camera.y) * camera.scale];
  }

  placeNames() {
    const boxes = this.boxes();
    [...this.overlay.children].forEach((panel, i) => {
      const box = boxes[i];
      Object.assign(/** @type {HTMLElement} */ (panel).style, { left: `${box.x}px`, top: `${box.y}px`, width: `${box.width}px`, height: `${box.height}px` });
      const names = this.names[i];
      const places = this.panels[i].anchors.map((anchor, k) => {
        const [x, y] = this.project(anchor.x, anchor.y, box);
        return { x, y, width: names[k].width, height: names[k].height };
      });
      const fits = fitting(places, box.width, box.height);
      names.forEach(({ name }, k) => {
        name.style.transform = `translate(${places[k].x}px, ${places[k].y}px) translate(-50%, -50%)`;
        name.classList.toggle("hidden", !fits[k]);
      });
      const outline = this.drawing ?? this.polygon ?? [];
      panel.querySelector("polygon")?.setAttribute("points", outline.map(([x, y]) => this.project(x, y, box).join(",")).join(" "));
    });
  }

  /** @param {Place | null} place */
  moveTo(place) {
    this.place = place;
    this.draw();
    this.on.moved();
  }

  /** @param {number} factor @param {{x: number, y: number}} [around] stays where it is */
  zoom(factor, around) {
    const { x, y, zoom } = this.view;
    const next = Math.min(MOST_ZOOM, Math.max(0.5, zoom * factor));
    const about = around ?? { x, y };
    this.place = { x: about.x + (x - about.x) * zoom / next, y: about.y + (y - about.y) * zoom / next, zoom: next };
    this.draw(true);
    this.on.moved();
  }

  /** @param {number} dx @param {number} dy in CSS pixels */
  pan(dx, dy) {
    const { x, y, zoom } = this.view;
    this.place = { x: x - dx / this.scale, y: y + dy / this.scale, zoom };
    this.draw(true);
    this.on.moved();
  }

  listen() {
    const { canvas, pointers } = this;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), this.locate(event.clientX, event.clientY));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event);
      const { x, y } = this.locate(event.clientX, event.clientY);
      this.drawing = pointers.size === 1 && this.mode !== "pan" ? [[x, y]] : null;
    });
    canvas.addEventListener("pointermove", (event) => this.pointerMoved(event));
    for (const kind of /** @type {const} */ (["pointerup", "pointercancel"])) {
      canvas.addEventListener(kind, (event) => {
        pointers.delete(event.pointerId);
        const drawn = this.drawing;
        this.drawing = null;
        if (drawn && kind === "pointerup" && drawn.length > 2) this.on.drawn(drawn);
        else if (drawn) this.draw();
      });
    }
    canvas.addEventListener("pointerleave", () => this.on.left());
    canvas.addEventListener("dblclick", (event) => this.zoom(2, this.locate(event.clientX, event.clientY)));
    canvas.addEventListener("keydown", (event) => {
      const step = 40;
      const action = {
        ArrowLeft: () => this.pan(step, 0), ArrowRight: () => this.pan(-step, 0), ArrowUp: () => this.pan(0, step), ArrowDown: () => this.pan(0, -step),
        "+": () => this.zoom(1.4), "=": () => this.zoom(1.4), "-": () => this.zoom(1 / 1.4), 0: () => this.moveTo(null),
      }[event.key];
      if (!action || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      action();
    });
  }

  /** @param {PointerEvent} event */
  pointerMoved(event) {
    const before = this.pointers.get(event.pointerId);
    const here = this.locate(event.clientX, event.clientY);
    if (!before) {
      this.on.pointed(here.x, here.y, 8 / this.scale);
      return;
    }
    if (this.drawing) {
      const [[x, y]] = this.drawing;
      if (this.mode === "rectangle") this.drawing = [[x, y], [here.x, y], [here.x, here.y], [x, here.y]];
      else this.drawing.push([here.x, here.y]);
      this.placeNames();
    } else if (this.pointers.size === 2) {
      const [other] = [...this.pointers.entries()].filter(([id]) => id !== event.pointerId).map(([, pointer]) => pointer);
      const apart = (/** @type {PointerEvent} */ p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY) || 1;
      this.zoom(apart(event) / apart(before), this.locate((event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2));
    } else {
      this.pan(event.clientX - before.clientX, event.clientY - before.clientY);
    }
    this.pointers.set(event.pointerId, event);
  }
}
