// How numbers are distributed: their quantiles, and a smooth density, as numpy and scipy find them.

/**
 * A quantile of sorted numbers, between two of them by the line through both; NaN of none.
 * @param {ArrayLike<number>} sorted
 * @param {number} share 0 … 1
 */
export function quantile(sorted, share) {
  if (!sorted.length) return NaN;
  const place = share * (sorted.length - 1);
  const [below, above] = [Math.floor(place), Math.ceil(place)];
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

/** Mean and standard deviation (n − 1) of some numbers. @param {ArrayLike<number>} values */
export function moments(values) {
  let [sum, squares] = [0, 0];
  for (let i = 0; i < values.length; i++) sum += values[i];
  const mean = sum / values.length;
  for (let i = 0; i < values.length; i++) squares += (values[i] - mean) ** 2;
  return { mean, deviation: Math.sqrt(squares / (values.length - 1)) };
}

/**
 * A density of sorted numbers at points between the smallest and the largest: Gaussian kernels of Scott's width, which is
 * the standard deviation times n to the power of −1/5.
 * @param {ArrayLike<number>} sorted
 * @param {number} points
 * @returns {{at: number[], height: number[]} | null} null where all numbers are equal, or there are fewer than two
 */
export function density(sorted, points) {
  const { deviation } = moments(sorted);
  if (!(deviation > 0)) return null;
  const width = deviation * sorted.length ** -0.2;
  const [low, high] = [sorted[0], sorted[sorted.length - 1]];
  const at = Array.from({ length: points }, (_, i) => low + (high - low) * i / (points - 1));
  const height = new Array(points).fill(0);
  for (let i = 0, next = 0; i < sorted.length; i = next) { // equal numbers, such as zeros, at once
    while (next < sorted.length && sorted[next] === sorted[i]) next += 1;
    for (let k = 0; k < points; k++) height[k] += (next - i) * Math.exp(-0.5 * ((at[k] - sorted[i]) / width) ** 2);
  }
  return { at, height: height.map((one) => one / (sorted.length * width * Math.sqrt(2 * Math.PI))) };
}
