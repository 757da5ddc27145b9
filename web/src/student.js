// Student's t: what it says of a difference, with its interval; and p over several tests together.

const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

/** @param {number} x above 0.5 */
function logGamma(x) {
  const y = x - 1;
  const sum = LANCZOS.reduce((total, c, i) => (i ? total + c / (y + i) : c), 0);
  const t = y + 7.5;
  return 0.5 * Math.log(2 * Math.PI) + (y + 0.5) * Math.log(t) - t + Math.log(sum);
}

/**
 * Regularised incomplete beta function, by its continued fraction (Lentz).
 * @param {number} x
 * @param {number} a
 * @param {number} b
 * @returns {number}
 */
function beta(x, a, b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - beta(1 - x, b, a);
  const front = Math.exp(a * Math.log(x) + b * Math.log1p(-x) + logGamma(a + b) - logGamma(a) - logGamma(b)) / a;
  const least = 1e-300;
  let d = 1 / (1 - (a + b) * x / (a + 1) || least);
  let [c, f] = [1, d];
  for (let m = 1; m < 10_000; m++) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / (1 + even * d || least);
    c = 1 + even / c || least;
    f *= c * d;
    const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / (1 + odd * d || least);
    c = 1 + odd / c || least;
    f *= c * d;
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return front * f;
}

/**
 * How likely a t at least as far from zero is by chance, both sides together.
 * @param {number} t
 * @param {number} df
 */
export function pOfT(t, df) {
  if (!Number.isFinite(t) || !(df > 0)) return NaN;
  const share = df / (df + t * t); // of small t it is near one, where the other end is exact
  return share > 0.5 ? 1 - beta(t * t / (df + t * t), 0.5, df / 2) : beta(share, df / 2, 0.5);
}

/**
 * The t that is passed on both sides together with this probability.
 * @param {number} p
 * @param {number} df
 */
export function tOfP(p, df) {
  if (!(df > 0)) return NaN;
  let [low, high] = [0, 2];
  while (pOfT(high, df) > p) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-15 * high; i++) {
    const middle = (low + high) / 2;
    if (pOfT(middle, df) > p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** @typedef {{meanA: number, meanB: number, difference: number, low: number, high: number, t: number, df: number, p: number}} Test */

/** @param {number[]} values @returns {[number, number]} mean and variance (ddof 1) */
function moments(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return [mean, values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)];
}

/**
 * @param {number} difference
 * @param {number} error standard error of it
 * @param {number} df
 */
function tested(difference, error, df) {
  const certain = error <= 1e-12 * Math.max(1, Math.abs(difference)); // no variance: nothing can be said of chance
  const half = certain ? NaN : tOfP(0.05, df) * error;
  const t = certain ? NaN : difference / error;
  return { difference, low: difference - half, high: difference + half, t, df: certain ? NaN : df, p: certain ? NaN : pOfT(t, df) };
}

/**
 * A against B of the same donors: t of the differences.
 * @param {number[]} a
 * @param {number[]} b in the same order
 * @returns {Test}
 */
export function pairedTest(a, b) {
  const [mean, variance] = moments(a.map((value, i) => value - b[i]));
  return { meanA: moments(a)[0], meanB: moments(b)[0], ...tested(mean, Math.sqrt(variance / a.length), a.length - 1) };
}

/**
 * A against B of different donors, whose variances may differ (Welch).
 * @param {number[]} a
 * @param {number[]} b
 * @returns {Test}
 */
export function welchTest(a, b) {
  const [[meanA, varianceA], [meanB, varianceB]] = [moments(a), moments(b)];
  const [ofA, ofB] = [varianceA / a.length, varianceB / b.length];
  const df = (ofA + ofB) ** 2 / (ofA ** 2 / (a.length - 1) + ofB ** 2 / (b.length - 1));
  return { meanA, meanB, ...tested(meanA - meanB, Math.sqrt(ofA + ofB), df) };
}

/**
 * Benjamini–Hochberg; NaN stays NaN and does not count.
 * @param {number[]} p
 * @returns {number[]}
 */
export function adjusted(p) {
  const order = p.map((_, i) => i).filter((i) => Number.isFinite(p[i])).sort((i, j) => p[j] - p[i]);
  const found = p.map(() => NaN);
  let least = 1;
  order.forEach((i, k) => {
    least = Math.min(least, p[i] * order.length / (order.length - k));
    found[i] = least;
  });
  return found;
}
