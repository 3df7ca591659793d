/**
 * What another model finds in the same picture, beside what the chosen one finds.
 *
 * @import { Answer, Model, State } from "./types.js"
 * @import { Session } from "./session.js"
 * @import { Store } from "./store.js"
 */

import { byId } from "./dom.js";
import { Overlay } from "./overlay.js";
import { formatMs } from "./report.js";
import { keepCrisp } from "./stage.js";
import { NOTHING_HIGHLIGHTED, visibleInstances } from "./state.js";

/** @param {Store<State>} store @param {Session} session */
export function mountCompare(store, session) {
  mountChoice(store, session);
  const stage = byId("stage", HTMLElement);
  const frame = byId("other-frame", HTMLElement);
  const image = byId("other-picture", HTMLImageElement);
  const canvas = byId("other-overlay", HTMLCanvasElement);
  const overlay = new Overlay(canvas);
  const draw = () => overlay.draw(stateOfOther(store.get()));
  keepCrisp(canvas, draw);
  store.watch(
    ({ picture, visible, other, live }) => [picture, visible, other, live === null],
    ({ picture, visible, other, live }) => {
      const shown = other !== null && picture !== null && !live;
      stage.toggleAttribute("data-compare", shown);
      frame.hidden = !shown;
      image.hidden = !visible;
      if (shown) image.src = byId("picture", HTMLImageElement).src;
      else image.removeAttribute("src");
    },
  );
  store.watch(({ other, threshold, hidden, layers }) => [other, threshold, hidden, layers], draw);
  mountCaptions(store);
}

/** @param {Store<State>} store @param {Session} session */
function mountChoice(store, session) {
  const field = byId("other-field", HTMLElement);
  const select = byId("other-model", HTMLSelectElement);
  /** @returns {Model[]} */
  const others = () => store.get().models.filter((one) => one !== store.get().model);
  select.addEventListener("change", () => session.compare(others()[select.selectedIndex - 1] ?? null));
  store.watch(
    ({ models, model, other }) => [models, model, other?.model],
    ({ model, other }) => {
      const known = others();
      field.hidden = !known.length;
      if (other && other.model === model) return void session.compare(null);
      select.replaceChildren(
        new Option("Nothing"),
        ...known.map(({ name, version }) => new Option(`${name} · ${version}`)),
      );
      select.selectedIndex = known.findIndex((one) => one === other?.model) + 1;
    },
  );
}

/** @param {Store<State>} store */
function mountCaptions(store) {
  const own = byId("caption", HTMLElement);
  const others = byId("other-caption", HTMLElement);
  store.watch(
    ({ answer, other, threshold, hidden, live }) => [answer, other, threshold, hidden, live === null],
    (state) => {
      const shown = state.other !== null && state.picture !== null && !state.live;
      own.hidden = !shown;
      own.textContent = shown ? captionText(state) : "";
      others.textContent = state.other ? captionText(stateOfOther(state)) : "";
    },
  );
}

/** @param {State} state @returns {State} as if the other model were the chosen one */
function stateOfOther(state) {
  const { other } = state;
  if (!other) return { ...state, answer: null };
  return { ...state, ...NOTHING_HIGHLIGHTED, model: other.model, answer: other.answer };
}

/** @param {State} state */
function captionText(state) {
  const { answer } = state;
  if (!answer) return "Segmenting…";
  const found = visibleInstances(state).length;
  const { precision } = answer.backend;
  const time = formatMs(answer.timings_ms.total);
  return `${answer.model} ${answer.version} · ${precision} · ${found} ${found === 1 ? "object" : "objects"} · ${time}`;
}
