/**
 * The server's REST interface. Addresses are relative to the page, so that it also works below a path.
 *
 * @import { Answer, MaskFormat, Model } from "./types.js"
 */

import { askForKey, currentKey, keyHeaders } from "./key.js";
import { Problem, sentence } from "./problem.js";

/**
 * @typedef {Object} Ask
 * @property {string} [model]
 * @property {string} [version]
 * @property {number} [score_threshold]
 * @property {MaskFormat} [masks]
 * @property {string} [classes] comma-separated
 * @property {"class" | "all"} [nms]
 * @property {string} [tiles]
 */

/**
 * The instances in an encoded picture, and how long it took to get them, in milliseconds.
 *
 * @param {Blob} picture
 * @param {Ask} ask
 * @param {AbortSignal} [signal]
 * @returns {Promise<{answer: Answer, roundTrip: number}>}
 */
export async function segment(picture, ask, signal) {
  const sent = performance.now();
  const answer = await (await fetchAnswer(picture, ask, "application/json", signal)).json();
  return { answer, roundTrip: performance.now() - sent };
}

/**
 * The answer to an encoded picture in another form.
 *
 * @param {Blob} picture
 * @param {Ask} ask
 * @param {string} accept media type
 * @param {AbortSignal} [signal]
 */
export function fetchAnswer(picture, ask, accept, signal) {
  const headers = { "Content-Type": picture.type || "application/octet-stream", Accept: accept };
  return call(segmentUrl(ask), { method: "POST", body: picture, headers, signal });
}

/** @param {Ask} ask @returns {URL} */
export function segmentUrl(ask) {
  const url = new URL("v1/segment", document.baseURI);
  for (const [name, value] of Object.entries(ask)) {
    if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  return url;
}

/** @returns {Promise<{models: Model[], refused: Record<string, string>}>} the default first */
export async function listModels() {
  return (await call("v1/models")).json();
}

/** @param {string} path of one of the page's own files @returns {Promise<Blob>} */
export async function fetchFile(path) {
  return (await call(path)).blob();
}

/** Resolves when the server is ready; rejects with the Problem that says why it is not. */
export async function checkReady() {
  await call("readyz");
}

/** @returns {Promise<string>} Prometheus text */
export async function metricsText() {
  return (await call("metrics")).text();
}

/**
 * @param {string | URL} path
 * @param {RequestInit} [init]
 * @returns {Promise<Response>} a good one
 */
async function call(path, init) {
  const key = currentKey();
  const response = await send(path, init);
  if (response.status === 401 && (await askForKey(key))) return call(path, init);
  if (!response.ok) throw await readProblem(response);
  return response;
}

/**
 * @param {string | URL} path
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
function send(path, init) {
  const headers = { ...init?.headers, ...keyHeaders() };
  return fetch(new URL(path, document.baseURI), { ...init, headers }).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server cannot be reached", "Check that it is running, then try again.");
  });
}

/** @param {Response} response @returns {Promise<Problem>} */
async function readProblem(response) {
  const status = `${response.status} ${response.statusText}`.trim();
  /** @type {{type?: string, title?: string, detail?: string}} */
  const { type, title, detail } = await response.json().catch(() => ({}));
  const kind = type?.split(":").pop();
  return new Problem(
    title ?? `The server answered ${status}`,
    sentence(detail ?? status),
    response.status,
    kind,
  );
}
