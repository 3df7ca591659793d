/**
 * Below the picture: what went wrong, a line of summary, the time by stage.
 *
 * @import { LiveFrame, State } from "./types.js"
 * @import { Store } from "./store.js"
 */

import { byId, part, renderList } from "./dom.js";

/** @typedef {[name: string, milliseconds: number]} Stage */

const SHOWN_MS = 0.05; // less would read as 0.0

/** @param {Store<State>} store */
export function mountReport(store) {
  mountFailure(store);
  mountSummary(store);
  mountTimings(store);
}

/** @param {Store<State>} store */
function mountFailure(store) {
  const notice = byId("failure", HTMLElement);
  store.watch(
    ({ failure }) => [failure],
    ({ failure }) => {
      notice.hidden = !failure;
      part(notice, "title").textContent = failure?.title ?? "";
      part(notice, "detail").textContent = failure?.detail ?? "";
      byId("retry", HTMLButtonElement).hidden = !failure?.again;
    },
  );
}

/** @param {Store<State>} store */
function mountSummary(store) {
  const summary = byId("summary", HTMLElement);
  store.watch(
    ({ answer, picture, phase, live, clip }) => [answer, picture, phase, live, clip],
    (state) => (summary.textContent = summaryText(state)),
  );
}

/** @param {State} state */
function summaryText({ answer, picture, phase, live, clip }) {
  if (phase === "busy" && clip) return `Opening ${clip.file.name}…`;
  if (phase === "busy") return picture ? "Segmenting…" : "Waiting for the camera…";
  if (!answer) return "";
  const { width, height } = answer.image;
  const backend = [answer.backend.runtime, answer.backend.precision].filter(Boolean).join(" ");
  const source = live ? liveText(live, phase, clip?.file.name ?? "Webcam") : picture?.name;
  return [source, `${width} × ${height}`, `${answer.model} ${answer.version}`, backend].join(" · ");
}

/** @param {LiveFrame} frame @param {State["phase"]} phase @param {string} source */
function liveText({ fps, age }, phase, source) {
  if (phase === "failed") return `${source}, waiting for the server`;
  return `${source}, ${fps.toFixed(0)} frames/s, ${age.toFixed(0)} ms old`;
}

/** @param {Store<State>} store */
function mountTimings(store) {
  const card = byId("timings", HTMLElement);
  const bar = byId("stage-template", HTMLTemplateElement);
  const entry = byId("legend-template", HTMLTemplateElement);
  store.watch(
    ({ answer, roundTrip }) => [answer, roundTrip],
    (state) => {
      const stages = stageTimes(state);
      card.hidden = !stages.length;
      part(card, "total").textContent = totalText(stages, state.roundTrip);
      renderList(part(card, "stack"), bar, stages, (element, [name, time]) => {
        element.dataset.stage = name;
        element.style.flexGrow = String(time);
      });
      renderList(part(card, "legend"), entry, stages, (element, [name, time]) => {
        element.dataset.stage = name;
        part(element, "name").textContent = name;
        part(element, "value").textContent = formatMs(time);
      });
    },
  );
}

/** @param {State} state @returns {Stage[]} those that took any time, in the order of the work */
function stageTimes({ answer }) {
  const stages = Object.entries(answer?.timings_ms ?? {});
  return stages.filter(([name, time]) => name !== "total" && time >= SHOWN_MS);
}

/** @param {Stage[]} stages @param {number} roundTrip */
function totalText(stages, roundTrip) {
  const server = stages.reduce((sum, [, time]) => sum + time, 0);
  return `${formatMs(server)} on the server, ${formatMs(roundTrip)} round trip`;
}

/** @param {number} time milliseconds */
export function formatMs(time) {
  return `${time.toFixed(time < 10 ? 1 : 0)} ms`;
}
