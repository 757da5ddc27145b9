// The cell nearest to a place of the map, by a grid over all cells.

const SIDE = 256;

export class Grid {
  /**
   * @param {Float32Array} positions two numbers a cell
   * @param {number} cells
   * @param {{x: number, y: number, width: number, height: number}} extent
   */
  constructor(positions, cells, extent) {
    this.positions = positions;
    this.extent = extent;
    this.starts = new Uint32Array(SIDE * SIDE + 1);
    const place = new Uint32Array(cells);
    for (let i = 0; i < cells; i++) {
      place[i] = this.column(positions[2 * i]) + SIDE * this.row(positions[2 * i + 1]);
      this.starts[place[i] + 1] += 1;
    }
    for (let i = 0; i < SIDE * SIDE; i++) this.starts[i + 1] += this.starts[i];
    const next = this.starts.slice();
    this.cells = new Uint32Array(cells);
    for (let i = 0; i < cells; i++) this.cells[next[place[i]]++] = i;
  }

  /** @param {number} x */
  column(x) {
    return Math.min(SIDE - 1, Math.max(0, Math.floor(SIDE * (x - this.extent.x) / (this.extent.width || 1)) || 0));
  }

  /** @param {number} y */
  row(y) {
    return Math.min(SIDE - 1, Math.max(0, Math.floor(SIDE * (y - this.extent.y) / (this.extent.height || 1)) || 0));
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} radius
   * @param {Uint8Array} shades cells of shade 0 are passed over
   * @returns {number} a cell, or -1
   */
  find(x, y, radius, shades) {
    let [best, nearest] = [-1, radius * radius];
    for (let row = this.row(y - radius); row <= this.row(y + radius); row++) {
      for (let column = this.column(x - radius); column <= this.column(x + radius); column++) {
        const bin = column + SIDE * row;
        for (let k = this.starts[bin]; k < this.starts[bin + 1]; k++) {
          const cell = this.cells[k];
          const distance = (this.positions[2 * cell] - x) ** 2 + (this.positions[2 * cell + 1] - y) ** 2;
          if (distance < nearest && shades[cell]) [best, nearest] = [cell, distance];
        }
      }
    }
    return best;
  }
}
