/**
 * The card of zones and lines: tools to draw them, their names and counts, and the events of the stream.
 *
 * @import { Counts, Place, PlaceKind, State, StreamEvent } from "./types.js"
 * @import { Session } from "./session.js"
 * @import { Store } from "./store.js"
 */

import { byId, part, renderList } from "./dom.js";
import { mountExcerpt } from "./excerpt.js";
import { formatTime } from "./live.js";
import { cameraCommand, chooseName, isPlace, sceneOf } from "./places.js";
import { finishDraft } from "./sketch.js";

/** @type {Record<PlaceKind, string>} */
const HINTS = {
  zone: "Click the corners in the picture; then click the first one again.",
  ignored:
    "Click the corners in the picture; then click the first one again. Objects that stand in it are ignored.",
  line: "Click where the line begins and where it ends. The arrow shows the way in.",
};

/** @param {Store<State>} store @param {Session} session */
export function mountEvents(store, session) {
  mountTools(store, session);
  mountPlaces(store, session);
  mountLog(store);
  mountRecipe(store);
}

/** @param {Store<State>} store @param {Session} session */
function mountTools(store, session) {
  const tools = byId("tools", HTMLElement);
  const hint = byId("places-hint", HTMLElement);
  const finish = byId("finish", HTMLButtonElement);
  tools.addEventListener("click", ({ target }) => {
    const kind = /** @type {PlaceKind | undefined} */ (/** @type {HTMLElement} */ (target).dataset.kind);
    if (!kind) return;
    const again = store.get().draft?.kind === kind;
    store.set({ draft: again ? null : { kind, points: [] } });
    if (!again) byId("stage", HTMLElement).scrollIntoView({ block: "nearest" });
  });
  finish.addEventListener("click", () => finishDraft(store, session));
  store.watch(
    ({ draft, answer, places }) => [draft, answer === null, places],
    ({ draft, answer, places }) => {
      for (const button of tools.querySelectorAll("button")) {
        button.ariaPressed = String(button.dataset.kind === draft?.kind);
        button.disabled = !answer;
      }
      finish.hidden = !draft || draft.kind === "line" || !isPlace(draft.kind, draft.points);
      hint.textContent = draft ? HINTS[draft.kind] : places.length ? "" : restHint(answer !== null);
      hint.hidden = !hint.textContent;
    },
  );
}

/** @param {boolean} shown whether there is a picture to draw on */
function restHint(shown) {
  if (!shown) return "Open a video or the webcam, then draw here what to watch.";
  return "Draw a zone or a line: a stream counts the objects that enter or cross it.";
}

/** @param {Store<State>} store @param {Session} session */
function mountPlaces(store, session) {
  const list = byId("places", HTMLOListElement);
  const template = byId("place-template", HTMLTemplateElement);
  /** @param {Event} event @returns {number} the place of the row that an event comes from */
  const rowOf = ({ target }) =>
    [...list.children].findIndex((row) => row.contains(/** @type {Node} */ (target)));
  list.addEventListener("change", (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    const { places } = store.get();
    const at = rowOf(event);
    const patch =
      input.name === "name" ? { name: chooseName(places, at, input.value) } : { classes: input.value };
    session.setPlaces(places.with(at, { ...places[at], ...patch }));
    if (input.name === "name") input.value = store.get().places[at].name;
  });
  list.addEventListener("click", (event) => {
    if (!(/** @type {HTMLElement} */ (event.target).closest("[data-part=remove]"))) return;
    session.setPlaces(store.get().places.toSpliced(rowOf(event), 1));
  });
  store.watch(
    ({ places }) => [places],
    ({ places }) => renderList(list, template, places, fillPlace),
  );
  store.watch(
    ({ places, counts }) => [places, counts],
    ({ places, counts }) => {
      for (const [at, { name }] of places.entries()) {
        part(list.children[at], "count").textContent = countText(
          counts?.zones?.[name],
          counts?.lines?.[name],
        );
      }
    },
  );
}

/** @param {HTMLElement} row @param {Place} place */
function fillPlace(row, { kind, name, classes }) {
  row.dataset.kind = kind;
  const named = /** @type {HTMLInputElement} */ (part(row, "name"));
  const limited = /** @type {HTMLInputElement} */ (part(row, "classes"));
  named.value = name;
  named.disabled = limited.disabled = kind === "ignored";
  limited.value = classes;
  limited.placeholder = kind === "ignored" ? "nothing is seen here" : "all classes";
}

/** @param {{present: Counts, entered: Counts} | undefined} zone @param {{in: Counts, out: Counts} | undefined} line */
function countText(zone, line) {
  if (zone) return `${sum(zone.present)} now, ${sum(zone.entered)} entered`;
  return line ? `${sum(line.in)} in, ${sum(line.out)} out` : "";
}

/** @param {Counts} counts */
function sum(counts) {
  return Object.values(counts).reduce((all, count) => all + count, 0);
}

/** @param {Store<State>} store */
function mountLog(store) {
  const list = byId("events", HTMLOListElement);
  const template = byId("event-template", HTMLTemplateElement);
  const field = byId("events-field", HTMLElement);
  store.watch(
    ({ events }) => [events],
    ({ events }) => {
      field.hidden = !events.length;
      renderList(list, template, events, (row, event) => {
        row.dataset.event = event.event;
        part(row, "time").textContent = formatTime(event.time_s);
        part(row, "text").textContent = eventText(event);
      });
    },
  );
}

/** @param {StreamEvent} event @returns {string} as a sentence without its full stop */
export function eventText({ event, label, track_id, zone, line, direction, seconds }) {
  const object = `${label} #${track_id}`;
  const after = seconds === undefined ? "" : ` after ${seconds.toFixed(1)} s`;
  switch (event) {
    case "entered":
      return `${object} enters ${zone}`;
    case "left":
      return `${object} leaves ${zone}${after}`;
    case "crossed":
      return `${object} crosses ${line}, ${direction}`;
    case "updated":
      return `#${track_id} takes the label ${label}`;
    case "gone":
      return `${object} is gone${after}`;
    default:
      return `${object} is new`;
  }
}

/** @param {Store<State>} store */
function mountRecipe(store) {
  const card = byId("recipe", HTMLElement);
  const show = mountExcerpt(card, (tab) => {
    const { places, model, models } = store.get();
    if (tab === "tab-command") return cameraCommand(places, model === models[0] ? null : model);
    return JSON.stringify({ track: true, scene: sceneOf(places) }, null, 2).replace(
      /\[\s+([\d.]+),\s+([\d.]+)\s+\]/g,
      "[$1, $2]",
    );
  });
  store.watch(
    ({ places, model }) => [places, model],
    ({ places }) => {
      card.hidden = !places.length;
      show();
    },
  );
}
