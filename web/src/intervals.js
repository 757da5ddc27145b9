// Numbers with their intervals, one a row; a line stands where nothing is.

import { figure, inks, scale, shape, short, span, ticks } from "./charts.js";
import { measure, visible } from "./text.js";

const ROW = 20;

/** @typedef {{label: string, value: number, low: number, high: number, hollow: boolean, text: string}} Interval NaN where there is no interval */

/**
 * @param {Interval[]} rows
 * @param {number} width
 * @param {{label: string, axis: string, line: number | null}} options line: value of the line, such as no change
 */
export function intervals(rows, width, { label, axis, line }) {
  const { ink, soft, line: pale, accent } = inks();
  const left = Math.min(230, width * 0.42);
  const domain = span([...rows.flatMap((row) => [row.value, row.low, row.high]), ...(line === null ? [] : [line])]);
  const x = scale(domain, [left, width - 14]);
  const bottom = ROW * rows.length + 8;
  return figure(width, bottom + 34, label,
    ...ticks(...domain, width < 500 ? 3 : 6).flatMap((value) => [
      shape("line", { x1: x(value), x2: x(value), y1: 4, y2: bottom, stroke: pale }),
      shape("text", { x: x(value), y: bottom + 14, "text-anchor": "middle", fill: soft }, measure(value))]),
    line === null ? null : shape("line", { x1: x(line), x2: x(line), y1: 4, y2: bottom, stroke: soft, "stroke-dasharray": "4 3" }),
    shape("text", { x: (left + width) / 2, y: bottom + 29, "text-anchor": "middle", fill: soft }, visible(axis)),
    ...rows.flatMap((row, i) => {
      const y = 14 + ROW * i;
      return [
        shape("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, short(visible(row.label), left / 6.4)),
        Number.isFinite(row.low) && Number.isFinite(row.high) ? shape("line", { x1: x(row.low), x2: x(row.high), y1: y, y2: y, stroke: row.hollow ? soft : accent, "stroke-width": 2 }) : null,
        Number.isFinite(row.value) ? shape("circle", { cx: x(row.value), cy: y, r: 4.5, fill: row.hollow ? "none" : accent, stroke: row.hollow ? ink : accent, "stroke-width": 1.5 }, shape("title", {}, visible(row.text))) : null,
      ];
    }));
}
