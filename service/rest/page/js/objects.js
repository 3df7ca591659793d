/**
 * The list of what was found; one stop for the keyboard, arrows within.
 *
 * @import { Instance, State } from "./types.js"
 * @import { Session } from "./session.js"
 * @import { Store } from "./store.js"
 */

import { byId, part, renderList } from "./dom.js";
import { colourOf } from "./palette.js";
import {
  NOTHING_HIGHLIGHTED,
  absence,
  explainRest,
  highlighted,
  instanceName,
  listedInstances,
} from "./state.js";

/** @param {Store<State>} store @param {Session} session */
export function mountObjects(store, session) {
  const list = byId("objects", HTMLOListElement);
  const template = byId("object-template", HTMLTemplateElement);
  const count = byId("objects-count", HTMLElement);
  const hint = byId("objects-hint", HTMLElement);
  store.watch(
    ({ answer, threshold, hidden }) => [answer, threshold, hidden],
    (state) => {
      const shown = listedInstances(state);
      renderList(list, template, shown, (row, one) => fillRow(row, one, state));
      count.textContent = state.answer ? countText(shown.length, state.answer.instances.length) : "";
      hint.textContent = shown.length ? explainRest(state, shown) : absence(state);
      hint.hidden = !hint.textContent;
      keepOneStop(list);
    },
  );
  store.watch(
    ({ answer, threshold, hidden, hovered, pinned }) => [answer, threshold, hidden, hovered, pinned],
    (state) => showHighlight(list, state),
  );
  listenTo(list, store, session);
}

/** @param {HTMLElement} row @param {{index: number, instance: Instance}} shown @param {State} state */
function fillRow(row, { index, instance }, { answer }) {
  const button = rowButton(row);
  button.dataset.index = String(index);
  const [, , width, height] = instance.bbox;
  part(row, "swatch").style.backgroundColor = answer ? colourOf(answer, index).line : "";
  part(row, "label").textContent = instanceName(instance);
  part(row, "extent").textContent = `${Math.round(width)} × ${Math.round(height)}`;
  part(row, "score").textContent = instance.score.toFixed(2);
}

/** @param {number} shown @param {number} all */
function countText(shown, all) {
  return shown === all ? String(all) : `${shown} of ${all}`;
}

/** @param {HTMLElement} list @param {State} state */
function showHighlight(list, state) {
  const active = highlighted(state);
  for (const row of list.children) {
    const button = rowButton(row);
    const index = Number(button.dataset.index);
    button.ariaPressed = String(index === state.pinned);
    button.toggleAttribute("data-active", index === active);
    if (index === active) scrollWithin(list, button);
  }
}

/** @param {HTMLElement} list @param {HTMLElement} item that shall be in sight, without moving the page */
function scrollWithin(list, item) {
  const [view, box] = [list.getBoundingClientRect(), item.getBoundingClientRect()];
  if (box.top < view.top) list.scrollTop += box.top - view.top;
  if (box.bottom > view.bottom) list.scrollTop += box.bottom - view.bottom;
}

/** @param {HTMLElement} list @param {Store<State>} store @param {Session} session */
function listenTo(list, store, session) {
  /** @param {Event} event @returns {number | null} */
  const indexAt = (event) => {
    const button = /** @type {HTMLElement} */ (event.target).closest("button");
    return button ? Number(button.dataset.index) : null;
  };
  list.addEventListener("pointerover", (event) => store.set({ hovered: indexAt(event) }));
  list.addEventListener("pointerleave", () => store.set({ hovered: null }));
  list.addEventListener("focusin", (event) => {
    keepOneStop(list);
    store.set({ hovered: indexAt(event) });
  });
  list.addEventListener("focusout", () => store.set({ hovered: null }));
  list.addEventListener("click", (event) => session.pin(indexAt(event)));
  list.addEventListener("keydown", (event) => moveFocus(list, event));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") store.set(NOTHING_HIGHLIGHTED);
  });
}

/** @param {HTMLElement} list @param {KeyboardEvent} event */
function moveFocus(list, event) {
  const buttons = [...list.children].map(rowButton);
  const at = buttons.findIndex((button) => button === document.activeElement);
  const last = buttons.length - 1;
  /** @type {Record<string, number>} */
  const targets = { ArrowDown: Math.min(at + 1, last), ArrowUp: Math.max(at - 1, 0), Home: 0, End: last };
  const target = targets[event.key];
  if (target === undefined) return;
  event.preventDefault();
  buttons[target].focus();
}

/** @param {HTMLElement} list leaves one row in the tab order: the focused one, else the first */
function keepOneStop(list) {
  const buttons = [...list.children].map(rowButton);
  const stop = Math.max(
    0,
    buttons.findIndex((button) => button === document.activeElement),
  );
  for (const [at, button] of buttons.entries()) button.tabIndex = at === stop ? 0 : -1;
}

/** @param {Element} row @returns {HTMLButtonElement} */
function rowButton(row) {
  return /** @type {HTMLButtonElement} */ (row.firstElementChild);
}
