/**
 * What to copy: the request as a curl line, the answer as JSON.
 *
 * @import { Answer, State } from "./types.js"
 */

import { segmentUrl } from "./api.js";
import { currentKey } from "./key.js";
import { NMS, classCounts, defaultThreshold } from "./state.js";

const SHOWN_COUNTS = 48; // characters of a mask's run lengths that are worth reading
const SHOWN_CORNERS = 12; // numbers of a ring's corners

/**
 * The command that gives what the page shows; what is the server's default anyway is left out.
 *
 * @param {State} state with a picture
 * @returns {string}
 */
export function curlLine(state) {
  const { masks, tiles, picture } = state;
  const ask = askOf(state);
  if (!ask) return "# Every class is switched off: there is nothing to ask for.";
  const url = segmentUrl({ ...ask, ...(masks !== "rle" && { masks }), ...(tiles && { tiles }) });
  return [
    `curl ${quote(url.href)}`,
    ...(currentKey() ? ['-H "X-API-Key: $KEY"'] : []),
    `-H ${quote(`Content-Type: ${picture?.blob.type || "application/octet-stream"}`)}`,
    `--data-binary ${quote(`@${picture?.name}`)}`,
  ].join(" \\\n  ");
}

/**
 * The query for what the page shows, without the form of the masks.
 *
 * @param {State} state
 * @returns {import("./api.js").Ask | null} null where every class is switched off
 */
export function askOf(state) {
  const { model, models, threshold, hidden } = state;
  const labels = classCounts(state).map(([label]) => label);
  const kept = labels.filter((label) => !hidden.has(label));
  if (labels.length && !kept.length) return null;
  return {
    ...(model !== models[0] && { model: model?.name, version: model?.version }),
    ...(threshold !== defaultThreshold(model) && { score_threshold: threshold }),
    nms: NMS,
    ...(kept.length < labels.length && { classes: kept.join(",") }),
  };
}

/** @param {string} text @returns {string} as one word of a POSIX shell */
export function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * The answer, indented, each list of numbers on one line.
 *
 * @param {Answer} answer
 * @param {{short: boolean}} options short: with the masks' run lengths and rings cut, for reading
 * @returns {string}
 */
export function answerJson(answer, { short }) {
  const text = JSON.stringify(answer, short ? shortenMasks : undefined, 2);
  return text.replace(/\[[\s\d.,eE+"…-]*\]/g, (list) =>
    list.replace(/\s+/g, " ").replace(/^\[ | \]$/g, (edge) => edge.trim()),
  );
}

/** @param {string} key @param {unknown} value @returns {unknown} */
function shortenMasks(key, value) {
  if (key === "counts" && typeof value === "string" && value.length > SHOWN_COUNTS) {
    return `${value.slice(0, SHOWN_COUNTS)}…`;
  }
  const isRing = Array.isArray(value) && typeof value[0] === "number";
  return isRing && value.length > SHOWN_CORNERS ? [...value.slice(0, SHOWN_CORNERS), "…"] : value;
}
