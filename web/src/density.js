// How close cells lie to each other, on a grid over the map.

const SIDE = 160;

/**
 * @param {Float32Array} positions two numbers a cell
 * @param {number} cells how many of them have come
 * @param {{x: number, y: number, width: number, height: number}} extent
 * @returns {Uint8Array} of each cell: 0 where it is alone, 255 in the densest place; by the logarithm
 */
export function densityOf(positions, cells, extent) {
  const counts = new Float32Array((SIDE + 2) * (SIDE + 2)); // with a border, which the neighbours of no cell leave
  const places = new Uint32Array(cells);
  const [sx, sy] = [(SIDE - 1) / (extent.width || 1), (SIDE - 1) / (extent.height || 1)];
  for (let i = 0; i < cells; i++) {
    const column = Math.min(SIDE, Math.max(1, 1 + Math.round((positions[2 * i] - extent.x) * sx) || 1));
    const row = Math.min(SIDE, Math.max(1, 1 + Math.round((positions[2 * i + 1] - extent.y) * sy) || 1));
    places[i] = column + (SIDE + 2) * row;
    counts[places[i]] += 1;
  }
  const smooth = new Float32Array(counts.length);
  let most = 0;
  for (let row = 1; row <= SIDE; row++) {
    for (let column = 1; column <= SIDE; column++) {
      const at = column + (SIDE + 2) * row;
      let sum = 0;
      for (const beside of [at - SIDE - 2, at, at + SIDE + 2]) sum += counts[beside - 1] + 2 * counts[beside] + counts[beside + 1];
      smooth[at] = sum / 12;
      most = Math.max(most, smooth[at]);
    }
  }
  const shades = new Float32Array(counts.length);
  const unit = 255 / Math.log1p(most || 1);
  for (let at = 0; at < shades.length; at++) shades[at] = unit * Math.log1p(smooth[at]);
  const density = new Uint8Array(cells);
  for (let i = 0; i < cells; i++) density[i] = shades[places[i]];
  return density;
}
