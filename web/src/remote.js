// What the page asks its own server to compute: two selections compared over all genes. A static host has none.

import { DataError } from "./bytes.js";

/**
 * @typedef {object} RemoteTest of one protocol
 * @property {string} protocol
 * @property {"paired" | "between"} kind
 * @property {string} formula
 * @property {string[]} donors_a
 * @property {string[]} donors_b
 * @property {string[]} notes
 * @property {number} n_cells
 * @property {Record<"gene" | "id", string[]> & Record<"mean" | "effect" | "low" | "high" | "p" | "adjusted", (number | null)[]>} genes
 */
/** @typedef {{method: string, tests: RemoteTest[], skipped: {protocol: string, reason: string}[]}} RemoteResult */

/** Where the server compares; null on a static host. */
export function remotePlace() {
  const place = document.querySelector("meta[name=titin-compare]")?.getAttribute("content");
  return place ? new URL(place, document.baseURI).href : null;
}

/**
 * Have all genes compared.
 * @param {string} place
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 * @param {{signal?: AbortSignal, told?: (step: string, done: number, total: number) => void}} [work]
 * @returns {Promise<RemoteResult>}
 */
export async function compareRemotely(place, a, b, { signal, told } = {}) {
  const [ofA, ofB] = [positionsOf(a), positionsOf(b)];
  const view = new DataView(new ArrayBuffer(4 * (1 + ofA.length + ofB.length)));
  [ofA.length, ...ofA, ...ofB].forEach((position, i) => view.setUint32(4 * i, position, true));
  const stopped = new DataError("The server does not answer any more", "see that `titin explore` still runs, then try again");
  let response;
  try {
    response = await fetch(place, { method: "POST", body: view, headers: { "Content-Type": "application/octet-stream" }, cache: "no-store", signal });
  } catch (error) {
    throw signal?.aborted ? error : stopped;
  }
  if (!response.ok || !response.body) {
    const said = await response.json().catch(() => null);
    throw new DataError(said?.message ?? `The server answered ${response.status}`, "load the page again, by the address that `titin explore` prints");
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error) => { throw signal?.aborted ? error : stopped; });
    if (done) throw stopped;
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const found = JSON.parse(line);
      if (found.result) return found.result;
      if (found.refused) throw new DataError(`${found.refused[0].toUpperCase()}${found.refused.slice(1)}`, found.hint ?? "");
      told?.(found.step, found.done ?? 0, found.total ?? 0);
    }
  }
}

/** @param {Uint8Array} mask */
function positionsOf(mask) {
  const found = [];
  for (let cell = 0; cell < mask.length; cell++) if (mask[cell]) found.push(cell);
  return found;
}
