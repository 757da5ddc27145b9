// Fractions of cell types against age, a dot a donor, and the cells of every donor as a bar.

import { keyOf, placeName } from "./ageing.js";
import { smallMultiples, stackedBars } from "./charts.js";
import { pText } from "./genecard.js";
import { css, labelColours, oklch } from "./palette.js";
import { chart, folded, saveTable, sheetTable } from "./sheet.js";
import { count, element, measure, percent, sentence, several, visible } from "./text.js";

/** @typedef {import("./ageing.js").Ageing} Ageing */

/**
 * All numbers of the page: fractions of every type in the cells of a donor in a protocol.
 * @param {Ageing} ageing
 */
export function compositionOf(ageing) {
  const fewest = Number(ageing.told.composition?.settings?.min_donor_cells ?? 10);
  const types = [...new Set(ageing.groups.map((group) => group.type))].sort();
  const preparations = [...Map.groupBy(ageing.groups, ({ protocol, donor }) => JSON.stringify([protocol, donor])).values()].map((groups) => {
    const cells = groups.reduce((sum, group) => sum + group.cells, 0);
    const own = new Map(groups.map((group) => [group.type, group.cells]));
    return { donor: groups[0].donor, protocol: groups[0].protocol, age: groups[0].age, cells, own, few: cells < fewest };
  }).sort((a, b) => (a.protocol < b.protocol ? -1 : a.protocol > b.protocol ? 1 : a.age - b.age));
  const tests = new Map(ageing.fractions.map((one) => [keyOf(one), one]));
  const charts = [...new Set(preparations.map((one) => one.protocol))].flatMap((protocol) => types.map((type) => {
    const dots = preparations.filter((one) => one.protocol === protocol).map(({ own, ...one }) => ({ ...one, fraction: (own.get(type) ?? 0) / one.cells, of: own.get(type) ?? 0 }));
    return { type, protocol, dots, test: tests.get(keyOf({ type, protocol })) ?? null };
  })).filter((one) => one.dots.some((dot) => dot.of)).sort((a, b) => (a.test?.p ?? 2) - (b.test?.p ?? 2));
  return { fewest, types, preparations, charts };
}

/**
 * @param {Ageing} ageing
 * @param {{dark: boolean, about: Record<string, unknown>, select: (type: string) => void}} act
 */
export function compositionPage(ageing, act) {
  const found = compositionOf(ageing);
  const { told } = ageing;
  const about = { ...act.about, method: told.composition?.settings?.method, formula: told.composition?.settings?.formula };
  const tested = found.charts.filter((one) => one.test);
  const most = Math.max(...found.preparations.map((one) => one.cells));
  const drawn = tested.map(({ dots, test, ...place }) => ({
    title: placeName(place), lines: [`×${measure(test?.fold ?? NaN)} a decade (${measure(test?.low ?? NaN)} to ${measure(test?.high ?? NaN)})`, `adjusted p ${pText(test?.adjusted ?? NaN)}`], trend: null,
    dots: dots.map((dot) => ({
      x: dot.age, y: 100 * dot.fraction, hollow: dot.few, radius: 2.5 + 4 * Math.sqrt(dot.cells / most),
      text: `${dot.donor}: ${measure(dot.age)} years, ${count(dot.of)} of ${several(dot.cells, "cell")}${dot.few ? `, fewer than ${found.fewest}: not compared` : ""}`,
    })),
  }));
  return [
    element("h2", {}, "Composition"),
    element("p", { class: "verdict" }, visible(told.composition?.missing ? `Not evaluable: ${told.composition.missing}` : `${told.composition?.verdict}.`)),
    element("p", { class: "hint" }, visible([told.composition?.caveat, ...(told.composition?.left_out ?? [])].filter(Boolean).map(sentence).join(" "))),
    ...(drawn.length ? [
      element("h3", {}, "Fraction against age"),
      element("p", { class: "hint" }, `Percent of a donor's cells in a protocol; a dot a donor, its size the cells that it has there. Hollow: donors with fewer than ${found.fewest} cells. Factor a decade by the model ${visible(told.composition?.settings?.formula ?? "")}, with its 95 % interval, as `, element("code", {}, "titin age composition"), " gives it; p adjusted over the types of a protocol."),
      chart((width) => smallMultiples(drawn, width, { label: `Fractions of ${several(drawn.length, "type")} against age; the numbers are in the tables below`, values: null, unit: (value) => measure(value) }), "composition_age"),
      sheetTable("Change of fractions with age", ["type", "donors", "cells", "mean fraction", "factor a decade", "p", "adjusted p"].map((head, i) => ({ head, number: i > 0 })),
        tested.map(({ test, ...place }) => test ? [
          element("button", { type: "button", class: "link", onclick: () => act.select(place.type) }, visible(placeName(place))), count(test.donors), count(test.cells), percent(test.mean, 1),
          `×${measure(test.fold)} (${measure(test.low)} to ${measure(test.high)})`, pText(test.p), pText(test.adjusted)] : [])),
    ] : []),
    ...bars(found, act.dark),
    folded("Every donor as a table", () => [
      sheetTable("Cells of every donor", [{ head: "donor" }, { head: "protocol" }, { head: "age", number: true }, { head: "cells", number: true }, ...found.types.map((type) => ({ head: visible(type), number: true }))],
        found.preparations.map((one) => [visible(one.donor), visible(one.protocol), measure(one.age), count(one.cells), ...found.types.map((type) => count(one.own.get(type) ?? 0))]))]),
    saveTable("composition", about, ["donor", "protocol", "age", "n_cells", ...found.types], () => found.preparations.map((one) => [one.donor, one.protocol, one.age, one.cells, ...found.types.map((type) => one.own.get(type) ?? 0)])),
  ];
}

/**
 * @param {ReturnType<typeof compositionOf>} found
 * @param {boolean} dark
 */
function bars(found, dark) {
  const totals = new Map(found.types.map((type) => [type, found.preparations.reduce((sum, one) => sum + (one.own.get(type) ?? 0), 0)]));
  const types = [...found.types].sort((a, b) => (totals.get(b) ?? 0) - (totals.get(a) ?? 0));
  const colours = labelColours(types.length, dark).map((lch) => css(oklch(...lch)));
  return [...Map.groupBy(found.preparations, (one) => one.protocol)].flatMap(([protocol, preparations]) => [
    element("h3", {}, `Cells of every donor${protocol === "all" ? "" : `: ${visible(protocol)}`}, by age`),
    chart((width) => stackedBars(preparations.map((one) => ({
      label: `${one.donor}, ${measure(one.age)}`, note: several(one.cells, "cell"),
      parts: types.map((type, i) => ({ label: type, share: (one.own.get(type) ?? 0) / one.cells, colour: colours[i], text: `${one.donor}: ${type}, ${percent(one.own.get(type) ?? 0, one.cells)}` })),
    })), width, `Types in the cells of ${several(preparations.length, "donor")}; the numbers are in the table below`), `composition_${protocol.replace(/[^\w.-]+/g, "_")}`),
    keyList(types, colours),
  ]);
}

/** @param {string[]} types @param {string[]} colours */
function keyList(types, colours) {
  return element("ul", { class: "key" }, ...types.map((type, i) => {
    const swatch = element("span", { class: "swatch" });
    swatch.style.background = colours[i];
    return element("li", {}, swatch, ` ${visible(type)}`);
  }));
}
