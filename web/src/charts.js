// Charts of donors as SVG, drawn for the width that they have; each stands beside a table of the same numbers.

import { measure, visible } from "./text.js";

const SPACE = "http://www.w3.org/2000/svg";

/** @typedef {{ink: string, soft: string, line: string, accent: string, paper: string}} Inks */

/** Colours of the page, resolved: a figure that is saved has no style sheet. @returns {Inks} */
export function inks() {
  const style = getComputedStyle(document.documentElement);
  const of = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return { ink: of("--ink"), soft: of("--soft"), line: of("--line"), accent: of("--accent"), paper: of("--paper") };
}

/**
 * An SVG element; text is text.
 * @param {string} tag
 * @param {Record<string, string | number | null | ((event: Event) => void)>} [attributes]
 * @param {...(Node | string | null)} children
 */
export function shape(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value !== null) made.setAttribute(name, String(typeof value === "number" ? Number(value.toFixed(2)) : value));
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/**
 * A figure of its own.
 * @param {number} width
 * @param {number} height
 * @param {string} label
 * @param {...(Node | null)} children
 */
export function figure(width, height, label, ...children) {
  return /** @type {SVGSVGElement} */ (shape("svg", {
    xmlns: SPACE, width, height, viewBox: `0 0 ${Math.round(width)} ${Math.round(height)}`, role: "img", "aria-label": visible(label), "font-size": 11,
    "font-family": "system-ui, sans-serif", fill: inks().ink,
  }, ...children));
}

/**
 * From a domain to a range.
 * @param {[number, number]} domain
 * @param {[number, number]} range
 */
export function scale([d0, d1], [r0, r1]) {
  const factor = d1 > d0 ? (r1 - r0) / (d1 - d0) : 0;
  return (/** @type {number} */ value) => (factor ? r0 + (value - d0) * factor : (r0 + r1) / 2);
}

/**
 * Round numbers within a domain.
 * @param {number} low
 * @param {number} high
 * @param {number} [most]
 */
export function ticks(low, high, most = 4) {
  if (!(high > low)) return [low];
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = /** @type {number} */ ([1, 2, 5, 10].find((one) => one * power >= rough)) * power;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}

/** The span of some numbers, a little wider. @param {number[]} values @returns {[number, number]} */
export function span(values, edge = 0.06) {
  const known = values.filter(Number.isFinite);
  const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  const more = (high - low || Math.abs(high) || 1) * edge;
  return [low - more, high + more];
}

/**
 * @typedef {object} Dots
 * @property {string} title
 * @property {string[]} lines said below the title
 * @property {{x: number, y: number, hollow: boolean, radius: number, text: string}[]} dots
 * @property {{mean: [number, number], effect: number, low: number, high: number} | null} trend through a point, a decade
 */

/**
 * One chart of donors against age, at a place of a figure.
 * @param {Dots} chart
 * @param {{x: number, y: number, width: number, height: number, ages: [number, number], values: [number, number], unit: (value: number) => string}} box
 */
export function donorDots(chart, box) {
  const { ink, soft, line, accent } = inks();
  const [left, top, right, bottom] = [38, 18 + 14 * chart.lines.length, box.width - 8, box.height - 22];
  const [px, py] = [scale(box.ages, [left, right]), scale(box.values, [bottom, top])];
  const parts = [shape("text", { x: 4, y: 12, "font-weight": 600, "font-size": 12 }, short(visible(chart.title), box.width / 7))];
  chart.lines.forEach((text, i) => parts.push(shape("text", { x: 4, y: 26 + 14 * i, fill: soft }, short(text, box.width / 5.6))));
  for (const value of ticks(...box.values, 4)) {
    parts.push(shape("line", { x1: left, x2: right, y1: py(value), y2: py(value), stroke: line }),
      shape("text", { x: left - 4, y: py(value) + 4, "text-anchor": "end", fill: soft }, box.unit(value)));
  }
  for (const value of ticks(...box.ages, 4)) parts.push(shape("text", { x: px(value), y: bottom + 15, "text-anchor": "middle", fill: soft }, measure(value)));
  if (chart.trend) {
    const { mean: [x, y], effect, low, high } = chart.trend;
    const at = (/** @type {number} */ age, /** @type {number} */ slope) => py(Math.min(box.values[1], Math.max(box.values[0], y + slope * (age - x) / 10)));
    const [a, b] = box.ages;
    const band = [[a, low], [x, low], [a, high], [x, high], [b, low], [b, high]].map(([age, slope]) => [px(age), at(age, slope)]);
    const corner = (/** @type {number} */ i) => band[i].map((v) => v.toFixed(1)).join(",");
    parts.push(shape("polygon", { points: [0, 1, 2].map(corner).join(" "), fill: accent, opacity: 0.14 }),
      shape("polygon", { points: [4, 1, 5].map(corner).join(" "), fill: accent, opacity: 0.14 }),
      shape("line", { x1: px(a), y1: at(a, effect), x2: px(b), y2: at(b, effect), stroke: accent, "stroke-width": 2 }));
  }
  for (const dot of chart.dots) {
    parts.push(shape("circle", { cx: px(dot.x), cy: py(dot.y), r: dot.radius, fill: dot.hollow ? "none" : ink, stroke: dot.hollow ? soft : ink, "fill-opacity": 0.75 },
      shape("title", {}, visible(dot.text))));
  }
  return shape("g", { transform: `translate(${box.x},${box.y})` }, ...parts);
}

/**
 * Charts in rows, all with the same axes.
 * @param {Dots[]} charts
 * @param {number} width
 * @param {{label: string, values: [number, number] | null, unit?: (value: number) => string}} options values null: each chart its own
 */
export function smallMultiples(charts, width, { label, values, unit = measure }) {
  const columns = Math.max(1, Math.floor(width / 210));
  const each = Math.min(380, width / columns);
  const lines = Math.max(0, ...charts.map((chart) => chart.lines.length));
  const height = 150 + 14 * lines;
  const ages = span(charts.flatMap((chart) => chart.dots.map((dot) => dot.x)));
  return figure(width, height * Math.ceil(charts.length / columns), label, ...charts.map((chart, i) => donorDots(chart, {
    x: (i % columns) * each, y: height * Math.floor(i / columns), width: each - 10, height: height - 8, ages, unit,
    values: values ?? span(chart.dots.map((dot) => dot.y)),
  })));
}

/**
 * A share of each bar a part.
 * @param {{label: string, note: string, parts: {label: string, share: number, colour: string, text: string}[]}[]} bars
 * @param {number} width
 * @param {string} label
 */
export function stackedBars(bars, width, label) {
  const { soft } = inks();
  const left = 96;
  const right = 70;
  return figure(width, 20 * bars.length + 4, label, ...bars.flatMap((bar, i) => {
    let x = left;
    const room = Math.max(40, width - left - right);
    return [
      shape("text", { x: left - 6, y: 20 * i + 13, "text-anchor": "end" }, short(visible(bar.label), 15)),
      ...bar.parts.filter((part) => part.share > 0).map((part) => {
        const made = shape("rect", { x, y: 20 * i + 2, width: room * part.share, height: 15, fill: part.colour }, shape("title", {}, visible(part.text)));
        x += room * part.share;
        return made;
      }),
      shape("text", { x: left + room + 6, y: 20 * i + 13, fill: soft }, bar.note),
    ];
  }));
}

/**
 * @param {{effect: number, p: number, adjusted: number, name: string}[]} points
 * @param {number} width
 * @param {{label: string, threshold: number, axis: string, chosen: (name: number) => void}} options
 */
export function volcano(points, width, { label, threshold, axis, chosen }) {
  const { ink, soft, line, accent } = inks();
  const height = Math.min(420, Math.max(260, width * 0.6));
  const [left, top, right, bottom] = [44, 12, width - 12, height - 34];
  const heights = points.map((point) => -Math.log10(Math.max(point.p, 1e-300)));
  const reach = Math.max(1e-6, ...points.map((point) => Math.abs(point.effect))) * 1.08;
  const [px, py] = [scale([-reach, reach], [left, right]), scale([0, Math.max(1, ...heights) * 1.08], [bottom, top])];
  const places = points.map((point, i) => [px(point.effect), py(heights[i])]);
  const clear = (/** @type {number} */ i) => points[i].adjusted < threshold;
  const all = points.map((_, i) => i);
  const path = (/** @type {number[]} */ own) => own.map((i) => `M${places[i][0].toFixed(1)} ${places[i][1].toFixed(1)}h0`).join("");
  const named = all.filter(clear).sort((a, b) => points[a].p - points[b].p).slice(0, 12);
  const taken = /** @type {number[][]} */ ([]);
  const names = named.flatMap((i) => {
    const [x, y] = places[i];
    if (taken.some(([tx, ty]) => Math.abs(tx - x) < 60 && Math.abs(ty - y) < 13)) return [];
    taken.push([x, y]);
    return [shape("text", { x: x + (x > width - 80 ? -6 : 6), y: y + 4, "text-anchor": x > width - 80 ? "end" : "start" }, short(visible(points[i].name), 16))];
  });
  return figure(width, height, label,
    ...ticks(-reach, reach, 6).flatMap((value) => [
      shape("line", { x1: px(value), x2: px(value), y1: top, y2: bottom, stroke: line }),
      shape("text", { x: px(value), y: bottom + 15, "text-anchor": "middle", fill: soft }, measure(value))]),
    ...ticks(0, Math.max(1, ...heights), 4).map((value) => shape("text", { x: left - 5, y: py(value) + 4, "text-anchor": "end", fill: soft }, measure(value))),
    shape("text", { x: (left + right) / 2, y: height - 4, "text-anchor": "middle", fill: soft }, axis),
    shape("text", { x: 10, y: top + 4, fill: soft }, "−log10 p"),
    shape("path", { d: path(all.filter((i) => !clear(i))), stroke: soft, "stroke-width": 4, "stroke-linecap": "round", opacity: 0.45, fill: "none" }),
    shape("path", { d: path(all.filter(clear)), stroke: accent, "stroke-width": 6, "stroke-linecap": "round", fill: "none" }),
    ...names,
    shape("rect", {
      x: 0, y: 0, width, height, fill: "none", "pointer-events": "all", cursor: "pointer", stroke: "none", color: ink,
      onclick: (event) => {
        const { clientX, clientY, currentTarget } = /** @type {MouseEvent} */ (event);
        const from = /** @type {SVGRectElement} */ (currentTarget).getBoundingClientRect();
        const apart = (/** @type {number} */ i) => Math.hypot(places[i][0] - clientX + from.left, places[i][1] - clientY + from.top);
        const nearest = all.reduce((best, i) => (apart(i) < apart(best) ? i : best), 0);
        if (all.length && apart(nearest) < 14) chosen(nearest);
      },
    }));
}

/** @param {string} text @param {number} most */
export function short(text, most) {
  return text.length > most ? `${text.slice(0, Math.max(1, Math.floor(most) - 1))}…` : text;
}

/**
 * Two shares a row, of young and of old donors.
 * @param {{label: string, young: number, old: number, text: string}[]} rows NaN where there are no such donors
 * @param {number} width
 * @param {string} label
 */
export function youngOld(rows, width, label) {
  const { ink, soft, line, accent } = inks();
  const left = Math.min(190, width * 0.4);
  const x = scale([0, 1], [left, width - 16]);
  const height = 22 * rows.length + 40;
  return figure(width, height, label,
    shape("circle", { cx: left, cy: 9, r: 4.5, fill: "none", stroke: ink, "stroke-width": 1.5 }), shape("text", { x: left + 9, y: 13 }, "young"),
    shape("circle", { cx: left + 62, cy: 9, r: 4.5, fill: accent }), shape("text", { x: left + 71, y: 13 }, "old"),
    ...[0, 0.25, 0.5, 0.75, 1].flatMap((value) => [
      shape("line", { x1: x(value), x2: x(value), y1: 20, y2: height - 18, stroke: line }),
      shape("text", { x: x(value), y: height - 4, "text-anchor": "middle", fill: soft }, `${100 * value} %`)]),
    ...rows.flatMap((row, i) => {
      const y = 32 + 22 * i;
      const both = Number.isFinite(row.young) && Number.isFinite(row.old);
      return [
        shape("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, short(visible(row.label), left / 6.2)),
        both ? shape("line", { x1: x(row.young), x2: x(row.old), y1: y, y2: y, stroke: soft }) : null,
        Number.isFinite(row.old) ? shape("circle", { cx: x(row.old), cy: y, r: 5, fill: accent }, shape("title", {}, visible(row.text))) : null,
        Number.isFinite(row.young) ? shape("circle", { cx: x(row.young), cy: y, r: 5, fill: "none", stroke: ink, "stroke-width": 1.5 }, shape("title", {}, visible(row.text))) : null,
      ];
    }));
}
