// Files of the dataset, read in parts: one range a request, which needs no preflight from another origin.

const PATIENCE = 60_000; // milliseconds for one part
const AT_ONCE = 48; // requests under way; a browser refuses more than a thousand

/** Something is wrong with the data or where it lies: what, and what to do. */
export class DataError extends Error {
  /**
   * @param {string} message
   * @param {string} hint
   */
  constructor(message, hint) {
    super(message);
    this.hint = hint;
  }
}

/** What was asked for so far. */
export const traffic = { requests: 0, bytes: 0 };

let underWay = 0;
/** @type {(() => void)[]} */
const waiting = [];

/**
 * Do something when it is its turn.
 * @template T
 * @param {() => Promise<T>} work
 */
async function inTurn(work) {
  if (underWay < AT_ONCE) underWay += 1;
  else await new Promise((/** @type {(nothing?: undefined) => void} */ go) => waiting.push(go));
  try {
    return await work();
  } finally {
    const next = waiting.shift(); // takes over the place of this one
    if (next) next();
    else underWay -= 1;
  }
}

/**
 * @param {string} name
 * @param {string} url
 * @param {string} [range]
 */
async function ask(name, url, range) {
  traffic.requests += 1;
  try {
    // not by the browser's cache: it joins parts of files, and has given fewer bytes than it was asked for
    return await fetch(url, { headers: range ? { Range: range } : {}, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new DataError(
      late ? `${name} did not come within ${PATIENCE / 1000} seconds` : `${name} cannot be reached`,
      "check the connection and that the server still runs, then load the page again");
  }
}

/**
 * A whole small file.
 * @param {string} base
 * @param {string} name
 */
export async function readAll(base, name) {
  const response = await ask(name, new URL(name, base).href);
  if (!response.ok) throw refused(name, response.status);
  const data = await response.arrayBuffer();
  traffic.bytes += data.byteLength;
  return data;
}

/** A file that is read in parts; all of them must come from the same state of it. */
export class RangeFile {
  /**
   * @param {string} base where the dataset lies
   * @param {string} name
   * @param {number} byteLength as titin.json says
   */
  constructor(base, name, byteLength) {
    this.url = new URL(name, base).href;
    this.name = name;
    this.byteLength = byteLength;
    /** @type {string | null} */
    this.mark = null;
    /** @type {Promise<ArrayBuffer> | null} */
    this.whole = null;
  }

  /** Read the file at once, and all parts of it from there. */
  keep() {
    this.whole ??= this.slice(0, this.byteLength);
    this.whole.catch(() => { this.whole = null; });
  }

  /**
   * Bytes from `start` up to `end`.
   * @param {number} start
   * @param {number} [end]
   * @returns {Promise<ArrayBuffer>}
   */
  async slice(start, end = this.byteLength) {
    if (start >= end) return new ArrayBuffer(0);
    if (this.whole) return (await this.whole).slice(start, end);
    return inTurn(() => this.fetched(start, end));
  }

  /**
   * @param {number} start
   * @param {number} end
   */
  async fetched(start, end) {
    const response = await ask(this.name, this.url, `bytes=${start}-${end - 1}`);
    if (response.status === 200 && !(start === 0 && end === this.byteLength)) {
      response.body?.cancel();
      throw new DataError("The server sends whole files only, and the page reads parts of them",
        "put the folder on a server that answers range requests: `titin explore`, nginx, S3, GitHub Pages, the Hugging Face Hub");
    }
    if (response.status === 416) throw this.replaced();
    if (!response.ok) throw refused(this.name, response.status);
    const [, of] = /\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "") ?? [];
    const mark = response.headers.get("ETag");
    if ((of !== undefined && Number(of) !== this.byteLength) || (this.mark !== null && mark !== this.mark)) throw this.replaced();
    this.mark = mark;
    /** @type {ArrayBuffer} */
    let data;
    try {
      data = await response.arrayBuffer();
    } catch {
      throw new DataError(`${this.name} was cut off while it was read`, "load the page again");
    }
    traffic.bytes += data.byteLength;
    if (data.byteLength !== end - start) throw this.replaced();
    return data;
  }

  replaced() {
    return new DataError(`${this.name} is not the file that titin.json lists: it was cut off, or replaced meanwhile`,
      "load the page again; if that does not help, restore the file or build the dataset again");
  }
}

/**
 * @param {string} name
 * @param {number} status
 */
function refused(name, status) {
  if (status === 404) return new DataError(`${name} is missing`, "restore it, or build the dataset again");
  if (status === 401 || status === 403) return new DataError(`${name} may not be read (${status})`, "open the address that `titin explore` prints, with its token");
  return new DataError(`The server answered ${status} for ${name}`, "load the page again later");
}
