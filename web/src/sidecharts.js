// Donors on two sides: a chart a gene, with a line for each donor that is on both.

import { figure, inks, scale, shape, short, span, ticks } from "./charts.js";
import { measure, visible } from "./text.js";

const HEIGHT = 190;

/**
 * @typedef {object} SideChart
 * @property {string} title
 * @property {string[]} lines said below the title
 * @property {{donor: string, side: "a" | "b", value: number, text: string}[]} dots
 * @property {boolean} paired
 * @property {{a: string, b: string}} names of the sides
 */

/**
 * @param {SideChart[]} charts
 * @param {number} width
 * @param {string} label
 */
export function sideCharts(charts, width, label) {
  const columns = Math.max(1, Math.floor(width / 190));
  const each = Math.min(260, width / columns);
  return figure(width, HEIGHT * Math.ceil(charts.length / columns), label, ...charts.map((chart, i) =>
    shape("g", { transform: `translate(${((i % columns) * each).toFixed(1)},${HEIGHT * Math.floor(i / columns)})` }, ...oneChart(chart, each - 10))));
}

/** @param {SideChart} chart @param {number} width */
function oneChart({ title, lines, dots, paired, names }, width) {
  const { ink, soft, line, accent } = inks();
  const values = span(dots.map((dot) => dot.value));
  const [top, bottom] = [18 + 14 * lines.length, HEIGHT - 30];
  const [left, right] = [38, width - 8];
  const x = { a: left + (right - left) * 0.28, b: left + (right - left) * 0.72 };
  const y = scale(values, [bottom, top]);
  const byDonor = [...Map.groupBy(dots, (dot) => dot.donor).values()];
  const mean = (/** @type {"a" | "b"} */ side) => {
    const own = dots.filter((dot) => dot.side === side);
    return y(own.reduce((sum, dot) => sum + dot.value, 0) / own.length);
  };
  return [
    shape("text", { x: 4, y: 12, "font-weight": 600, "font-size": 12 }, short(visible(title), width / 7)),
    ...lines.map((text, i) => shape("text", { x: 4, y: 26 + 14 * i, fill: soft }, short(text, width / 5.4))),
    ...ticks(...values, 4).flatMap((value) => [
      shape("line", { x1: left, x2: right, y1: y(value), y2: y(value), stroke: line }), shape("text", { x: left - 4, y: y(value) + 4, "text-anchor": "end", fill: soft }, measure(value))]),
    ...(paired ? byDonor.map((own) => shape("polyline", { points: own.map((dot) => `${x[dot.side].toFixed(1)},${y(dot.value).toFixed(1)}`).join(" "), stroke: soft, fill: "none", opacity: 0.7 })) : []),
    ...dots.map((dot) => shape("circle", { cx: x[dot.side], cy: y(dot.value), r: 3.5, fill: ink, "fill-opacity": 0.75 }, shape("title", {}, visible(dot.text)))),
    ...(/** @type {const} */ (["a", "b"])).flatMap((side) => [
      shape("line", { x1: x[side] - 18, x2: x[side] + 18, y1: mean(side), y2: mean(side), stroke: accent, "stroke-width": 2 }),
      shape("text", { x: x[side], y: bottom + 18, "text-anchor": "middle" }, short(visible(names[side]), width / 14))]),
  ];
}
