// Genes of A against B, a number a donor and side: log2 of 1 + counts per million of its cells together.

import { DataError } from "./bytes.js";
import { groupsOf, planOf, refusalOf, sidesOf } from "./donorsides.js";
import { adjusted, pairedTest, welchTest } from "./student.js";

/** @typedef {import("./genes.js").Gene} Gene */
/** @typedef {import("./donorsides.js").Plan} Plan */
/** @typedef {{donor: string, side: "a" | "b", cells: number, counts: number, total: number, value: number}} DonorValue */
/**
 * A gene in a protocol; p is NaN where no donor has counts, or all the same. `plan` is of the donors whose studies measured it,
 * `lacking` names those of the others that have cells of A or B.
 * @typedef {import("./student.js").Test & {gene: Gene, protocol: string, adjusted: number, donors: DonorValue[], plan: Plan, lacking: string[]}} Compared
 */
/** @typedef {{genes: Gene[], lacking: string[], protocol: string, reason: string}} LeftOut genes of which too few donors are left */

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
  return { ...found, a, b, sides, refusal, plans: refusal ? [] : planOf(sides) };
}

/** @typedef {Awaited<ReturnType<typeof prepareComparison>>} Prepared */

/**
 * Test genes in every protocol that allows it; p adjusted over the genes of a protocol. Of donors whose study has not
 * measured a gene nothing is known: it is compared over the others.
 * @param {import("./genes.js").Genes} genes
 * @param {Prepared} prepared
 * @param {Gene[]} asked
 * @param {{signal?: AbortSignal, done?: (n: number) => void}} [work]
 * @returns {Promise<{found: Compared[], left: LeftOut[]}>}
 */
export async function compareGenes(genes, prepared, asked, { signal, done } = {}) {
  if (genes.dataset.manifest.kind === "real") throw new DataError("This dataset has no counts, and it is counts that are summed by donor", "build it from a source with counts");
  const perCell = await totalsOf(genes, signal);
  const sides = new MeasuredSides(genes, prepared, perCell);
  /** @type {Compared[][]} */
  const found = [];
  let [next, finished] = [0, 0];
  const worker = async () => {
    while (next < asked.length) {
      const i = next++;
      signal?.throwIfAborted();
      const [{ cells, stored }, { groups, codes, plans, totals, lacking }] = await Promise.all([genes.entries(asked[i].token), sides.of(asked[i])]);
      const counts = new Float64Array(groups.length);
      cells.forEach((cell, k) => { if (codes[cell] >= 0) counts[codes[cell]] += stored[k]; });
      const values = groups.map(({ side, protocol, donor, cells: n }, g) => ({
        protocol, donor, side, cells: n, counts: counts[g], total: totals[g], value: Math.log2(1 + counts[g] / totals[g] * 1e6),
      }));
      found[i] = plans.flatMap((plan) => (plan.kind ? [{ ...compared(asked[i], plan, values), lacking }] : []));
      done?.(++finished);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  signal?.throwIfAborted();
  const tested = [...Map.groupBy(found.flat(), (one) => one.protocol).values()].flatMap((own) => {
    const q = adjusted(own.map(({ p }) => p));
    return own.map((one, i) => ({ ...one, adjusted: q[i] }));
  });
  return { found: tested, left: await sides.leftOut(asked) };
}

/** @typedef {Prepared & {totals: Float64Array, lacking: string[]}} Sided sides of the cells whose studies measured a gene */

/** Who is on either side, of the cells whose studies measured a gene. */
class MeasuredSides {
  /**
   * @param {import("./genes.js").Genes} genes
   * @param {Prepared} prepared
   * @param {Float64Array} perCell counts of each cell
   */
  constructor(genes, prepared, perCell) {
    this.genes = genes;
    this.prepared = prepared;
    this.perCell = perCell;
    /** @type {Map<string, Promise<Sided>>} */
    this.known = new Map(); // by the studies that did not measure
  }

  /** @param {Gene} gene @returns {Promise<Sided>} */
  async of({ token }) {
    const without = await this.genes.studiesWithout(token);
    const key = JSON.stringify(without);
    const found = this.known.get(key) ?? this.without(without, token);
    this.known.set(key, found);
    return found;
  }

  /** @param {string[]} studies @param {number} token of a gene that they did not measure @returns {Promise<Sided>} */
  async without(studies, token) {
    const { dataset } = this.genes;
    const unmeasured = studies.length ? await this.genes.unmeasured(token) : null;
    if (studies.length && !unmeasured) throw new DataError("The studies of this dataset have not measured the same genes, and no column says of which study a cell is", `${SERVED} that all studies have`);
    const { a, b } = this.prepared;
    if (!unmeasured || !a.some((one, cell) => (one || b[cell]) && unmeasured[cell])) return this.summed(this.prepared, []);
    const measured = (/** @type {Uint8Array} */ mask) => mask.map((one, cell) => one & ~unmeasured[cell]);
    const labels = await dataset.labels(dataset.role("study"));
    const present = new Set(Array.from(a, (one, cell) => (one || b[cell] ? labels?.levels[labels.codes[cell]] : "")));
    return this.summed(await prepareComparison(dataset, measured(a), measured(b)), studies.filter((study) => present.has(study)));
  }

  /** @param {Prepared} prepared @param {string[]} lacking @returns {Sided} */
  summed(prepared, lacking) {
    const totals = new Float64Array(prepared.groups.length);
    prepared.codes.forEach((code, cell) => { if (code >= 0) totals[code] += this.perCell[cell]; });
    return { ...prepared, totals, lacking };
  }

  /**
   * Genes that are not compared, though others of these donors are: by the studies that did not measure them.
   * @param {Gene[]} asked
   * @returns {Promise<LeftOut[]>}
   */
  async leftOut(asked) {
    const sides = await Promise.all(asked.map(async (gene) => ({ gene, ...await this.of(gene) })));
    return [...Map.groupBy(sides.filter(({ lacking }) => lacking.length), ({ lacking }) => JSON.stringify(lacking)).values()].flatMap((own) => {
      const [{ lacking, refusal, plans }] = own;
      const genes = own.map(({ gene }) => gene);
      const possible = this.prepared.plans.filter(({ kind }) => kind).map(({ protocol }) => protocol);
      if (refusal) return [{ genes, lacking, protocol: possible.length === 1 ? possible[0] : "", reason: refusal.replace(/[.]$/, "") }];
      return possible.flatMap((protocol) => {
        const plan = plans.find((one) => one.protocol === protocol);
        if (plan?.kind) return [];
        return [{ genes, lacking, protocol, reason: plan ? plan.notes.join("; ") : "no cell of A and B is left" }];
      });
    });
  }
}

/**
 * @param {Gene} gene
 * @param {Plan} plan
 * @param {(DonorValue & {protocol: string})[]} values
 * @returns {Omit<Compared, "lacking">}
 */
function compared(gene, plan, values) {
  const { protocol, kind, a, b } = plan;
  const own = new Map(values.filter((one) => one.protocol === protocol).map((one) => [JSON.stringify([one.side, one.donor]), one]));
  const [ofA, ofB] = /** @type {[string[], "a" | "b"][]} */ ([[a, "a"], [b, "b"]]).map(([donors, side]) =>
    donors.map((donor) => /** @type {DonorValue} */ (own.get(JSON.stringify([side, donor])))));
  const [x, y] = [ofA, ofB].map((side) => side.map(({ value }) => value));
  return { gene, protocol, ...(kind === "paired" ? pairedTest(x, y) : welchTest(x, y)), adjusted: NaN, donors: [...ofA, ...ofB], plan };
}

/**
 * Counts of every cell, all genes together that every study has measured: a million is one of the same genes in all of them.
 * @param {import("./genes.js").Genes} genes
 * @param {AbortSignal} [signal]
 * @returns {Promise<Float64Array>}
 */
async function totalsOf(genes, signal) {
  const { dataset } = genes;
  const { manifest } = dataset;
  const { target_sum: share, target_of: of } = manifest.recovery ?? {};
  const common = await genes.common();
  if (!common && manifest.kind === "log1p" && share && (of ?? "counts") === "counts") return (await genes.scales()).map((scale) => scale * share);
  genes.totals ??= sumCells(dataset, common, signal).catch((error) => {
    genes.totals = null;
    throw error;
  });
  return genes.totals;
}

/**
 * @param {import("./dataset.js").Dataset} dataset
 * @param {boolean[] | null} common whether each gene is counted; null: all are
 * @param {AbortSignal} [signal]
 */
async function sumCells(dataset, common, signal) {
  if (dataset.manifest.nnz > MOST_SUMMED) {
    const why = common ? "The studies of this dataset have not measured the same genes" : "No column of this dataset has the counts of each cell";
    throw new DataError(`${why}, and it is too large to sum the counts of each cell here`, common ? `${SERVED} that all studies have` : SERVED);
  }
  const table = await dataset.table(dataset.named("expression"), 2 ** 19);
  const totals = new Float64Array(dataset.cells);
  for (const { start, end } of table.groups) {
    signal?.throwIfAborted();
    const [lists, tokens] = await Promise.all(["counts", ...(common ? ["genes"] : [])].map((column) => listsOf(table, column, start, end)));
    lists.forEach((counts, i) => {
      for (let k = 0; k < counts.length; k++) if (!common || common[tokens[i][k]]) totals[start + i] += Number(counts[k]);
    });
  }
  return totals;
}

/**
 * Lists of some rows of a column.
 * @param {import("./parquet.js").Table} table
 * @param {string} column
 * @param {number} start
 * @param {number} end
 * @returns {Promise<ArrayLike<number>[]>}
 */
async function listsOf(table, column, start, end) {
  const parts = await table.read(column, start, end);
  return parts.flatMap((part) => Array.from(/** @type {ArrayLike<ArrayLike<number> | null>} */ (/** @type {unknown} */ (part)), (list) => list ?? []));
}
