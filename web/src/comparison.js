// Genes of A against B, a number a donor and side: log2 of 1 + counts per million of its cells together.

import { DataError } from "./bytes.js";
import { groupsOf, planOf, refusalOf, sidesOf } from "./donorsides.js";
import { adjusted, pairedTest, welchTest } from "./student.js";

/** @typedef {import("./genes.js").Gene} Gene */
/** @typedef {import("./donorsides.js").Plan} Plan */
/** @typedef {{donor: string, side: "a" | "b", cells: number, counts: number, total: number, value: number}} DonorValue */
/** @typedef {import("./student.js").Test & {gene: Gene, protocol: string, adjusted: number, donors: DonorValue[]}} Compared p is NaN where no donor has counts, or all the same */

const MOST_SUMMED = 30_000_000; // entries of the matrix that are read where no column has the totals of the cells
const AT_ONCE = 6; // genes that are read at a time
const SERVED = "`titin explore` on your machine compares all genes";

/**
 * Who is on either side, and what can be compared.
 * @param {import("./dataset.js").Dataset} dataset
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
export async function prepareComparison(dataset, a, b) {
  const [donors, protocols] = await Promise.all([dataset.donor, dataset.role("protocol")].map((info) => dataset.labels(info)));
  if (!donors) throw new DataError("This dataset has no donors, and donors are what is compared", "build it again with --donor COLUMN");
  const found = groupsOf(a, b, donors, protocols);
  const number = (/** @type {Uint8Array} */ mask) => mask.reduce((sum, one) => sum + one, 0);
  const sides = sidesOf(found, [number(a), number(b)]);
  const refusal = refusalOf(sides);
  return { ...found, sides, refusal, plans: refusal ? [] : planOf(sides) };
}

/** @typedef {Awaited<ReturnType<typeof prepareComparison>>} Prepared */

/**
 * Test genes in every protocol that allows it; p adjusted over the genes of a protocol.
 * @param {import("./genes.js").Genes} genes
 * @param {Prepared} prepared
 * @param {Gene[]} asked
 * @param {{signal?: AbortSignal, done?: (n: number) => void}} [work]
 * @returns {Promise<Compared[]>}
 */
export async function compareGenes(genes, prepared, asked, { signal, done } = {}) {
  const { groups, codes, plans } = prepared;
  refuseWithoutCounts(genes.dataset);
  const perCell = await totalsOf(genes, signal);
  const totals = new Float64Array(groups.length);
  codes.forEach((code, cell) => { if (code >= 0) totals[code] += perCell[cell]; });
  /** @type {Compared[][]} */
  const found = [];
  let [next, finished] = [0, 0];
  const worker = async () => {
    while (next < asked.length) {
      const i = next++;
      signal?.throwIfAborted();
      const { cells, stored } = await genes.entries(asked[i].token);
      const counts = new Float64Array(groups.length);
      cells.forEach((cell, k) => { if (codes[cell] >= 0) counts[codes[cell]] += stored[k]; });
      const values = groups.map(({ side, protocol, donor, cells: n }, g) => ({
        protocol, donor, side, cells: n, counts: counts[g], total: totals[g], value: Math.log2(1 + counts[g] / totals[g] * 1e6),
      }));
      found[i] = plans.flatMap((plan) => (plan.kind ? [compared(asked[i], plan, values)] : []));
      done?.(++finished);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  signal?.throwIfAborted();
  return [...Map.groupBy(found.flat(), (one) => one.protocol).values()].flatMap((own) => {
    const q = adjusted(own.map(({ p }) => p));
    return own.map((one, i) => ({ ...one, adjusted: q[i] }));
  });
}

/**
 * @param {Gene} gene
 * @param {Plan} plan
 * @param {(DonorValue & {protocol: string})[]} values
 * @returns {Compared}
 */
function compared(gene, { protocol, kind, a, b }, values) {
  const own = new Map(values.filter((one) => one.protocol === protocol).map((one) => [JSON.stringify([one.side, one.donor]), one]));
  const [ofA, ofB] = /** @type {[string[], "a" | "b"][]} */ ([[a, "a"], [b, "b"]]).map(([donors, side]) =>
    donors.map((donor) => /** @type {DonorValue} */ (own.get(JSON.stringify([side, donor])))));
  const [x, y] = [ofA, ofB].map((side) => side.map(({ value }) => value));
  return { gene, protocol, ...(kind === "paired" ? pairedTest(x, y) : welchTest(x, y)), adjusted: NaN, donors: [...ofA, ...ofB] };
}

/** @param {import("./dataset.js").Dataset} dataset */
function refuseWithoutCounts({ manifest }) {
  if (manifest.kind === "real") throw new DataError("This dataset has no counts, and it is counts that are summed by donor", "build it from a source with counts");
  if (Object.values(manifest.studies ?? {}).some((/** @type {any} */ study) => study.measured)) {
    throw new DataError("The studies of this dataset have not measured the same genes: what one has not measured is no zero", `${SERVED} that all studies have`);
  }
}

/**
 * Counts of every cell, all genes together.
 * @param {import("./genes.js").Genes} genes
 * @param {AbortSignal} [signal]
 * @returns {Promise<Float64Array>}
 */
async function totalsOf(genes, signal) {
  const { dataset } = genes;
  const { manifest } = dataset;
  const { target_sum: share, target_of: of } = manifest.recovery ?? {};
  if (manifest.kind === "log1p" && share && (of ?? "counts") === "counts") return (await genes.scales()).map((scale) => scale * share);
  genes.totals ??= sumCells(dataset, signal).catch((error) => {
    genes.totals = null;
    throw error;
  });
  return genes.totals;
}

/** @param {import("./dataset.js").Dataset} dataset @param {AbortSignal} [signal] */
async function sumCells(dataset, signal) {
  if (dataset.manifest.nnz > MOST_SUMMED) throw new DataError("No column of this dataset has the counts of each cell, and it is too large to sum them here", SERVED);
  const table = await dataset.table(dataset.named("expression"), 2 ** 19);
  const totals = new Float64Array(dataset.cells);
  for (const { start, end } of table.groups) {
    signal?.throwIfAborted();
    let cell = start;
    for (const part of await table.read("counts", start, end)) {
      for (const counts of /** @type {Iterable<Iterable<number> | null>} */ (/** @type {unknown} */ (part))) {
        for (const value of counts ?? []) totals[cell] += Number(value);
        cell += 1;
      }
    }
  }
  return totals;
}
