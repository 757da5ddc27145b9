// Violins as SVG: one a donor, the youngest first, with its quartiles; protocols and genes in charts of their own.

import { placeName } from "./ageing.js";
import { figure, inks, scale, shape, short, ticks } from "./charts.js";
import { count, measure, percent, several, visible } from "./text.js";

/** @typedef {import("./violins.js").Violin} Violin */
/** @typedef {import("./violins.js").ViolinChart} ViolinChart */

const [PLOT, BELOW, ABOVE] = [130, 122, 36]; // heights: of the values, of the donors' names, of the title
const LEFT = 40;

/**
 * @param {ViolinChart[]} charts
 * @param {number} width
 * @param {{label: string, cut: number | null, unit: string}} told
 */
export function violinCharts(charts, width, { label, cut, unit }) {
  const most = Math.max(1, ...charts.map(({ donors }) => donors.length));
  const step = Math.max(15, Math.min(34, (width - LEFT - 12) / most));
  const each = Math.max(LEFT + step * most + 16, Math.min(200, width));
  const columns = Math.max(1, Math.floor(width / each));
  const height = ABOVE + PLOT + BELOW;
  /** @type {Map<number, [number, number]>} */
  const spans = new Map(); // the values of a gene have one axis, that its charts can be compared
  for (const { gene, donors } of charts) {
    const [low, high] = spans.get(gene.token) ?? [0, 0];
    spans.set(gene.token, [Math.min(low, ...donors.map(({ quantiles }) => quantiles[0])), Math.max(high, ...donors.map(({ quantiles }) => quantiles[4]))]);
  }
  return figure(Math.max(width, each), 20 + height * Math.ceil(charts.length / columns), label, ...keyParts(cut),
    ...charts.map((chart, i) => shape("g", { transform: `translate(${((i % columns) * each).toFixed(1)},${20 + height * Math.floor(i / columns)})` },
      ...oneChart(chart, { width: each, step, cut, unit, values: spans.get(chart.gene.token) ?? [0, 1] }))));
}

/** @param {number | null} cut */
function keyParts(cut) {
  if (cut === null) return [];
  const { accent, soft } = inks();
  const box = (/** @type {number} */ x, /** @type {string} */ colour, /** @type {string} */ text) => [
    shape("rect", { x, y: 3, width: 10, height: 10, fill: colour, "fill-opacity": 0.45, stroke: colour }), shape("text", { x: x + 15, y: 12 }, text)];
  return [...box(6, soft, `young, below ${measure(cut)} years`), ...box(170, accent, "old")];
}

/**
 * @param {ViolinChart} chart
 * @param {{width: number, step: number, cut: number | null, unit: string, values: [number, number]}} box
 */
function oneChart({ gene, label, protocol, donors }, { width, step, cut, unit, values: [low, high] }) {
  const { ink, soft, line } = inks();
  const [top, bottom] = [ABOVE, ABOVE + PLOT];
  const y = scale([low, high > low ? high : low + 1], [bottom, top + 4]);
  const right = LEFT + step * donors.length;
  return [
    shape("text", { x: 4, y: 12, "font-weight": 600, "font-size": 12 }, short(visible(`${gene.symbol} · ${placeName({ type: label, protocol })}`), width / 6.4)),
    shape("text", { x: 4, y: 26, fill: soft }, donors.length ? unit : "no cell of a donor in which it was measured"),
    ...(donors.length ? ticks(low, high, 4) : []).flatMap((value) => [
      shape("line", { x1: LEFT, x2: right, y1: y(value), y2: y(value), stroke: line }),
      shape("text", { x: LEFT - 4, y: y(value) + 4, "text-anchor": "end", fill: soft }, measure(value))]),
    ...donors.flatMap((violin, i) => {
      const x = LEFT + step * (i + 0.5);
      return [
        shape("g", { class: violin.few ? "few" : "violin" }, shape("title", {}, visible(titleOf(violin))), ...bodyOf(violin, x, y, { half: step * 0.44, colour: colourOf(violin, cut) })),
        shape("text", { transform: `translate(${(x + 4).toFixed(1)},${bottom + 12}) rotate(-70)`, "text-anchor": "end", fill: violin.few ? soft : ink }, short(visible(nameOf(violin)), 22)),
      ];
    }),
  ];
}

/**
 * @param {Violin} violin
 * @param {number} x
 * @param {(value: number) => number} y
 * @param {{half: number, colour: string}} look
 */
function bodyOf({ few, values, quantiles: [low, quarter, median, most, high], density }, x, y, { half, colour }) {
  if (few) return values.map((value) => shape("circle", { cx: x, cy: y(value), r: 2.5, fill: "none", stroke: colour }));
  const { paper } = inks();
  const widest = density ? Math.max(...density.height) : 1;
  const edge = (/** @type {1 | -1} */ side) => (density?.at ?? []).map((value, i) => `${(x + side * half * (density?.height[i] ?? 0) / widest).toFixed(1)},${y(value).toFixed(1)}`);
  return [
    density ? shape("polygon", { points: [...edge(1), ...edge(-1).reverse()].join(" "), fill: colour, "fill-opacity": 0.45, stroke: colour })
      : shape("line", { x1: x - half, x2: x + half, y1: y(low), y2: y(high), stroke: colour, "stroke-width": 3 }),
    shape("rect", { x: x - 2, y: y(most), width: 4, height: Math.max(1, y(quarter) - y(most)), fill: colour }),
    shape("circle", { cx: x, cy: y(median), r: 3, fill: paper, stroke: colour, "stroke-width": 1.5 }),
  ];
}

/** @param {Violin} violin @param {number | null} cut */
function colourOf({ age }, cut) {
  const { ink, soft, accent } = inks();
  return cut === null || Number.isNaN(age) ? ink : age < cut ? soft : accent;
}

/** @param {Violin} violin */
function nameOf({ donor, age, cells }) {
  return `${short(donor, 9)}${Number.isNaN(age) ? "" : `, ${measure(age)}`} (${count(cells)})`;
}

/** @param {Violin} violin */
function titleOf({ donor, age, cells, few, mean, share, quantiles: [low, quarter, median, most, high] }) {
  return `${donor}${Number.isNaN(age) ? "" : `, ${measure(age)} years`}, ${several(cells, "cell")}${few ? ", too few for a violin" : ""}: median ${measure(median)}, `
    + `quarters ${measure(quarter)} and ${measure(most)}, from ${measure(low)} to ${measure(high)}, mean ${measure(mean)}, ${percent(share, 1)} above zero`;
}
