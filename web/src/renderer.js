// Points by WebGL2: one buffer of positions, a colour number a cell through a lookup texture, and the order of drawing.
// The cells without counts of a gene are most of them and look the same for every gene: their picture is kept.

const VERTEX = `#version 300 es
in vec2 position;
in uint bin;
in uint shade;
in float density;
uniform vec2 centre;
uniform vec2 scale;
uniform float size;
uniform float opacity;
uniform float faint;
uniform vec3 grey;
uniform vec4 shading;
uniform sampler2D colours;
out vec4 colour;
void main() {
  gl_Position = vec4((position - centre) * scale, 0.0, 1.0);
  gl_PointSize = size;
  vec3 own = texelFetch(colours, ivec2(int(bin & 255u), int(bin >> 8u)), 0).rgb;
  float alpha = shade == 1u ? faint : opacity;
  colour = vec4((shade == 1u ? grey : mix(own, shading.rgb, shading.a * density)) * alpha, alpha);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 colour;
uniform bool round;
out vec4 fragment;
void main() {
  if (round && length(gl_PointCoord - 0.5) > 0.5) discard;
  fragment = colour;
}`;

const FEW = 100_000; // points drawn while the view moves, where there are more

/**
 * What one panel shows.
 * @typedef {object} Layer
 * @property {Uint16Array} bins colour number of each cell
 * @property {Uint8Array} shades 0 hidden, 1 faint, 2 full; the same of all panels
 * @property {string} key changes when the shades do
 * @property {Uint8Array} colours RGBA of each colour number, 256 × 17
 * @property {boolean} rising draw higher colour numbers later
 * @property {boolean} base cells of colour number 0 are the ground on which the others are drawn
 */
/** @typedef {{x: number, y: number, width: number, height: number}} Box in CSS pixels from the top left */
/** @typedef {{x: number, y: number, scale: number}} View centre, and CSS pixels a unit */
/**
 * Sizes in CSS pixels; `shading` is a colour and how much of it dense places take.
 * @typedef {{moving?: boolean, ratio?: number, size: number, opacity: number, faint: number, grey: [number, number, number], shading: [number, number, number, number]}} How
 */
/** @typedef {{order: WebGLBuffer, vao: WebGLVertexArrayObject, drawn: number, sample: number, key: string}} Points */
/** @typedef {Points & {bins: WebGLBuffer, texture: WebGLTexture, layer: Layer | null}} Panel */
/** @typedef {Points & {picture: WebGLTexture, framebuffer: WebGLFramebuffer, shows: string}} Ground */

export const LUT_ROWS = 17;

export class Renderer {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    /** @type {Float32Array | null} */
    this.positions = null;
    /** @type {Uint8Array} */
    this.density = new Uint8Array(0);
    /** @type {Layer[]} */
    this.layers = [];
    this.cells = 0;
    this.restored = () => {};
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: true, premultipliedAlpha: true });
    if (!gl) throw new Error("WebGL2 is missing");
    this.gl = gl;
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.prepare();
      if (this.positions) this.setPositions(this.positions, this.cells, this.density);
      this.setLayers(this.layers);
      this.restored();
    });
    this.prepare();
  }

  prepare() {
    const { gl } = this;
    const program = must(gl.createProgram());
    for (const [kind, source] of /** @type {[number, string][]} */ ([[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]])) {
      const shader = must(gl.createShader(kind));
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    ["position", "bin", "shade", "density"].forEach((name, place) => gl.bindAttribLocation(program, place, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(gl.getProgramInfoLog(program) ?? "shaders");
    this.program = program;
    this.uniforms = Object.fromEntries(["centre", "scale", "size", "opacity", "faint", "grey", "shading", "colours", "round"]
      .map((name) => [name, gl.getUniformLocation(program, name)]));
    this.positionBuffer = must(gl.createBuffer());
    this.densityBuffer = must(gl.createBuffer());
    this.shadeBuffer = must(gl.createBuffer());
    /** @type {string} */
    this.shadeKey = "";
    /** @type {Panel[]} */
    this.panels = [];
    /** @type {Ground} */
    this.ground = { ...this.points(null), picture: must(gl.createTexture()), framebuffer: must(gl.createFramebuffer()), shows: "" };
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /**
   * @param {Float32Array} positions two numbers a cell
   * @param {number} cells how many of them have come
   * @param {Uint8Array} density how close cells lie to each other where each of them is
   */
  setPositions(positions, cells, density) {
    const { gl } = this;
    [this.positions, this.cells, this.density, this.shadeKey] = [positions, cells, density, ""];
    must(this.ground).shows = "";
    gl.bindBuffer(gl.ARRAY_BUFFER, must(this.positionBuffer));
    gl.bufferData(gl.ARRAY_BUFFER, positions.subarray(0, 2 * cells), gl.STATIC_DRAW);
    gl.bindBuffer(gl.ARRAY_BUFFER, must(this.densityBuffer));
    gl.bufferData(gl.ARRAY_BUFFER, density.subarray(0, cells), gl.STATIC_DRAW);
  }

  /** @param {Layer[]} layers one for each panel */
  setLayers(layers) {
    const { gl } = this;
    this.layers = layers;
    const panels = must(this.panels);
    while (panels.length > layers.length) this.forget(/** @type {Panel} */ (panels.pop()));
    while (panels.length < layers.length) {
      const bins = must(gl.createBuffer());
      panels.push({ ...this.points(bins), bins, texture: must(gl.createTexture()), layer: null });
    }
    if (layers.length && layers[0].key !== this.shadeKey) {
      this.shadeKey = layers[0].key;
      gl.bindBuffer(gl.ARRAY_BUFFER, must(this.shadeBuffer));
      gl.bufferData(gl.ARRAY_BUFFER, layers[0].shades.subarray(0, this.cells), gl.DYNAMIC_DRAW);
    }
    const based = layers.find((layer) => layer.base);
    if (based && must(this.ground).key !== this.keyOf(based)) this.arrange(must(this.ground), { ...based, rising: false, base: false });
    layers.forEach((layer, i) => this.upload(layer, panels[i]));
  }

  /** @param {Layer} layer */
  keyOf(layer) {
    return `${layer.key}|${this.cells}`;
  }

  /**
   * Room for the order in which points are drawn.
   * @param {WebGLBuffer | null} bins colour numbers; null where all are 0
   * @returns {Points}
   */
  points(bins) {
    const { gl } = this;
    const made = { order: must(gl.createBuffer()), vao: must(gl.createVertexArray()), drawn: 0, sample: 0, key: "" };
    gl.bindVertexArray(made.vao);
    gl.bindBuffer(gl.ARRAY_BUFFER, must(this.positionBuffer));
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    if (bins) {
      gl.bindBuffer(gl.ARRAY_BUFFER, bins);
      gl.enableVertexAttribArray(1);
      gl.vertexAttribIPointer(1, 1, gl.UNSIGNED_SHORT, 0, 0);
    } else gl.vertexAttribI4ui(1, 0, 0, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, must(this.shadeBuffer));
    gl.enableVertexAttribArray(2);
    gl.vertexAttribIPointer(2, 1, gl.UNSIGNED_BYTE, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, must(this.densityBuffer));
    gl.enableVertexAttribArray(3);
    gl.vertexAttribPointer(3, 1, gl.UNSIGNED_BYTE, true, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, made.order);
    gl.bindVertexArray(null);
    return made;
  }

  /** @param {Panel} panel */
  forget(panel) {
    const { gl } = this;
    for (const buffer of [panel.bins, panel.order]) gl.deleteBuffer(buffer);
    gl.deleteTexture(panel.texture);
    gl.deleteVertexArray(panel.vao);
  }

  /**
   * Put points into the order in which a layer draws them, and a sample of them behind.
   * @param {Points} points
   * @param {Layer} layer
   */
  arrange(points, layer) {
    const { gl, cells } = this;
    const whole = drawingOrder(layer, cells);
    const sample = cells > FEW ? drawingOrder(layer, FEW) : new Uint32Array(0); // cells are stored in random order
    const order = new Uint32Array(whole.length + sample.length);
    order.set(whole);
    order.set(sample, whole.length);
    [points.drawn, points.sample, points.key] = [whole.length, sample.length, this.keyOf(layer)];
    gl.bindVertexArray(points.vao);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, order, gl.DYNAMIC_DRAW);
    gl.bindVertexArray(null);
  }

  /**
   * @param {Layer} layer
   * @param {Panel} panel
   */
  upload(layer, panel) {
    const { gl } = this;
    const same = panel.layer?.bins === layer.bins;
    if (!same || panel.key !== this.keyOf(layer)) {
      gl.bindBuffer(gl.ARRAY_BUFFER, panel.bins);
      gl.bufferData(gl.ARRAY_BUFFER, layer.bins.subarray(0, this.cells), gl.DYNAMIC_DRAW);
      this.arrange(panel, layer);
    }
    panel.layer = layer;
    gl.bindTexture(gl.TEXTURE_2D, panel.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, LUT_ROWS, 0, gl.RGBA, gl.UNSIGNED_BYTE, layer.colours);
    for (const parameter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, parameter, gl.NEAREST);
  }

  /**
   * @param {Box[]} boxes one for each panel
   * @param {View} view
   * @param {How} how
   */
  draw(boxes, view, how) {
    const { gl, uniforms } = this;
    if (gl.isContextLost() || !uniforms) return;
    const { moving = false, ratio = devicePixelRatio, size, opacity, faint, grey } = how;
    gl.viewport(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight);
    gl.disable(gl.SCISSOR_TEST);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(must(this.program));
    gl.uniform1i(uniforms.colours, 0);
    gl.uniform2f(uniforms.centre, view.x, view.y);
    gl.uniform1f(uniforms.size, Math.max(1, size * ratio));
    gl.uniform1i(uniforms.round, size * ratio > 3 ? 1 : 0);
    gl.uniform1f(uniforms.opacity, opacity);
    gl.uniform1f(uniforms.faint, faint);
    gl.uniform3f(uniforms.grey, grey[0] / 255, grey[1] / 255, grey[2] / 255);
    must(this.panels).forEach((panel, i) => {
      const box = boxes[i];
      const [x, y, width, height] = [box.x, this.canvas.height / ratio - box.y - box.height, box.width, box.height].map((v) => Math.round(v * ratio));
      const [r, g, b, share] = how.shading;
      gl.uniform4f(uniforms.shading, r / 255, g / 255, b / 255, panel.layer?.rising ? 0 : share); // where lightness is the value it stays
      gl.uniform2f(uniforms.scale, 2 * view.scale / box.width, 2 * view.scale / box.height);
      gl.bindTexture(gl.TEXTURE_2D, panel.texture);
      if (panel.layer?.base && !moving) this.layGround(x, y, width, height, panel.texture, JSON.stringify([view, how, box.width, box.height]));
      gl.viewport(x, y, width, height);
      gl.enable(gl.SCISSOR_TEST);
      gl.scissor(x, y, width, height);
      if (panel.layer?.base && moving) this.drawPoints(must(this.ground), true);
      this.drawPoints(panel, moving);
      gl.disable(gl.SCISSOR_TEST);
    });
    gl.bindVertexArray(null);
  }

  /**
   * @param {Points} points
   * @param {boolean} moving
   */
  drawPoints({ vao, drawn, sample }, moving) {
    const { gl } = this;
    gl.bindVertexArray(vao);
    const few = moving && this.cells > FEW;
    gl.drawElements(gl.POINTS, few ? sample : drawn, gl.UNSIGNED_INT, few ? 4 * drawn : 0);
  }

  /**
   * Copy the picture of all cells in the colour of those without a value; draw it first if the view is another one.
   * @param {number} x of the panel, in pixels of the canvas from the bottom left
   * @param {number} y
   * @param {number} width
   * @param {number} height
   * @param {WebGLTexture} colours
   * @param {string} seen what is seen of them
   */
  layGround(x, y, width, height, colours, seen) {
    const { gl } = this;
    const ground = must(this.ground);
    const shows = `${ground.key}|${seen}|${width}|${height}`;
    gl.bindFramebuffer(gl.FRAMEBUFFER, ground.framebuffer);
    if (ground.shows !== shows) {
      gl.bindTexture(gl.TEXTURE_2D, ground.picture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, ground.picture, 0);
      gl.bindTexture(gl.TEXTURE_2D, colours);
      gl.viewport(0, 0, width, height);
      gl.clear(gl.COLOR_BUFFER_BIT);
      this.drawPoints(ground, false);
      ground.shows = shows;
    }
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
    gl.blitFramebuffer(0, 0, width, height, x, y, x + width, y + height, gl.COLOR_BUFFER_BIT, gl.NEAREST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }
}

/**
 * The cells that are drawn: faint ones first, then by rising colour number where that is a value. On a ground, only those
 * that have one and are full.
 * @param {Layer} layer
 * @param {number} cells
 */
export function drawingOrder({ bins, shades, rising, base }, cells) {
  const starts = new Uint32Array(513);
  const buckets = new Uint16Array(cells); // 1 + the bucket of each, 0 of those that are not drawn
  for (let i = 0; i < cells; i++) {
    const shade = shades[i];
    if (shade === 0 || (base && (shade === 1 || bins[i] === 0))) continue;
    const bucket = (shade === 1 ? 1 : 257) + (rising ? Math.min(255, bins[i]) : 0);
    buckets[i] = bucket;
    starts[bucket] += 1;
  }
  for (let i = 0; i < 512; i++) starts[i + 1] += starts[i];
  const order = new Uint32Array(starts[512]);
  for (let i = 0; i < cells; i++) if (buckets[i]) order[starts[buckets[i] - 1]++] = i;
  return order;
}

/**
 * @template T
 * @param {T | null | undefined} made
 * @returns {T}
 */
function must(made) {
  if (made === null || made === undefined) throw new Error("the graphics card has no room");
  return made;
}
