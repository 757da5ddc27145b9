// Colours: of labels, many of them told apart; of numbers, light to dark on a light page and the other way on a dark one.

/** @typedef {[number, number, number]} RGB each 0 … 255 */

/**
 * Colour of OKLCH coordinates.
 * @param {number} lightness 0 … 1
 * @param {number} chroma
 * @param {number} hue degrees
 * @returns {RGB}
 */
export function oklch(lightness, chroma, hue) {
  for (let c = chroma; ; c *= 0.9) { // less chroma until the screen can show it
    const a = c * Math.cos(hue * Math.PI / 180);
    const b = c * Math.sin(hue * Math.PI / 180);
    const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
    const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
    const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
    const linear = [
      4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
      -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
      -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
    ];
    if (c < 0.01 || linear.every((x) => x >= -0.001 && x <= 1.001)) {
      const [r, g, blue] = linear.map((x) => {
        const bounded = Math.min(1, Math.max(0, x));
        return Math.round(255 * (bounded <= 0.0031308 ? 12.92 * bounded : 1.055 * bounded ** (1 / 2.4) - 0.055));
      });
      return [r, g, blue];
    }
  }
}

/** @typedef {[number, number, number]} LCH lightness, chroma, hue in degrees */

/** @param {RGB} rgb @returns {[number, number, number]} OKLab coordinates, in which equal distances look equal */
export function oklab(rgb) {
  const [r, g, b] = rgb.map((x) => (x / 255 <= 0.04045 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

/** @param {boolean} dark whether the page is dark @returns {[number, number]} lightness that labels may have on it */
const lightness = (dark) => (dark ? [0.5, 0.92] : [0.42, 0.84]);

/**
 * Colours of n labels, each as far as can be from all before it, from grey and from the page.
 * @param {number} n
 * @param {boolean} dark
 * @returns {LCH[]}
 */
export function labelColours(n, dark) {
  const [low, high] = lightness(dark);
  /** @type {{lch: LCH, lab: number[], gap: number}[]} */
  const candidates = [];
  for (let step = 0; step <= 6; step++) {
    for (const chroma of [0.09, 0.14, 0.2]) {
      for (let hue = 0; hue < 360; hue += 10) {
        const lch = /** @type {LCH} */ ([low + (high - low) * step / 6, chroma, hue]);
        candidates.push({ lch, lab: oklab(oklch(...lch)), gap: Infinity });
      }
    }
  }
  /** @type {LCH[]} */
  const chosen = [];
  const take = (/** @type {number[]} */ lab) => {
    for (const one of candidates) one.gap = Math.min(one.gap, Math.hypot(one.lab[0] - lab[0], one.lab[1] - lab[1], one.lab[2] - lab[2]));
  };
  take(oklab(neutral(dark)));
  take(oklab(dark ? [16, 18, 22] : [255, 255, 255]));
  while (chosen.length < n) {
    const next = chosen.length ? candidates.reduce((best, one) => (one.gap > best.gap ? one : best)) : candidates[candidates.length >> 1];
    chosen.push(next.lch);
    take(next.lab);
  }
  return chosen;
}

/**
 * Colours of the n subtypes of a type: its hue, lighter and darker.
 * @param {LCH} of
 * @param {number} n
 * @param {boolean} dark
 * @returns {LCH[]}
 */
export function subtypeColours([l, c, h], n, dark) {
  if (n === 1) return [[l, c, h]];
  const [low, high] = lightness(dark);
  const reach = Math.min(0.34, 0.12 * (n - 1));
  const from = Math.min(Math.max(l - reach / 2, low), high - reach);
  return Array.from({ length: n }, (_, i) => [from + reach * i / (n - 1), c, h + (i % 2 ? 9 : -9)]);
}

// viridis (CC0), at ninths
const RAMP = /** @type {RGB[]} */ ([
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37],
]);

/**
 * Colour of a share of the range.
 * @param {number} t 0 … 1
 * @param {boolean} dark
 * @returns {RGB}
 */
export function ramp(t, dark) {
  const along = (dark ? 0.12 + 0.88 * t : 0.9 - 0.9 * t) * (RAMP.length - 1);
  const i = Math.min(RAMP.length - 2, Math.floor(along));
  const [a, b] = [RAMP[i], RAMP[i + 1]];
  return /** @type {RGB} */ (a.map((x, k) => Math.round(x + (b[k] - x) * (along - i))));
}

/**
 * Colour of a number that goes both ways from a middle: blue below, orange above, the middle near the page.
 * @param {number} t −1 … 1
 * @param {boolean} dark
 * @returns {RGB}
 */
export function diverging(t, dark) {
  const [middle, end] = dark ? [0.29, 0.8] : [0.95, 0.46];
  const far = Math.min(1, Math.abs(t));
  return oklch(middle + (end - middle) * far, 0.14 * far, t < 0 ? 255 : 50);
}

/** Colour of cells without a value or label, or that do not express a gene. @param {boolean} dark @returns {RGB} */
export function neutral(dark) {
  return dark ? [72, 76, 84] : [205, 208, 214];
}

/** Colour of cells of which a gene was not measured: nearer to the page than those without counts. @param {boolean} dark @returns {RGB} */
export function pale(dark) {
  return dark ? [46, 49, 54] : [233, 235, 238];
}

/** @param {RGB} rgb */
export function css([r, g, b]) {
  return `rgb(${r} ${g} ${b})`;
}
