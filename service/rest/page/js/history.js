/**
 * The pictures of this visit, to go back to; this tab alone holds them, until it is closed.
 *
 * @import { Entry, State } from "./types.js"
 * @import { Session } from "./session.js"
 * @import { Store } from "./store.js"
 */

import { byId, renderList } from "./dom.js";
import { defaultThreshold } from "./state.js";

const HEIGHT = 96; // of a thumbnail, in its own pixels

/** @param {Store<State>} store @param {Session} session */
export function mountHistory(store, session) {
  const card = byId("history", HTMLElement);
  const list = byId("entries", HTMLOListElement);
  const template = byId("entry-template", HTMLTemplateElement);
  list.addEventListener("click", ({ target }) => {
    const row = /** @type {HTMLElement} */ (target).closest("li");
    const entry = store.get().history[[...list.children].indexOf(/** @type {HTMLElement} */ (row))];
    if (entry) session.recall(entry);
  });
  /** @type {WeakMap<Element, Blob>} */
  const drawn = new WeakMap();
  store.watch(
    ({ history, picture }) => [history, picture],
    ({ history, picture }) => {
      card.hidden = history.length < 2;
      renderList(list, template, history, (row, entry) => {
        const button = /** @type {HTMLButtonElement} */ (row.firstElementChild);
        const canvas = /** @type {HTMLCanvasElement} */ (button.firstElementChild);
        button.title = button.ariaLabel = describe(entry);
        button.ariaCurrent = entry.picture === picture ? "true" : null;
        if (drawn.get(canvas) === entry.picture.blob) return;
        drawn.set(canvas, entry.picture.blob);
        drawThumbnail(canvas, entry.picture.blob);
      });
      list.scrollLeft = list.scrollWidth;
    },
  );
}

/** @param {Entry} entry */
function describe({ picture, answer, model }) {
  const found = answer.instances.filter(({ score }) => score >= defaultThreshold(model)).length;
  return `${picture.name}: ${found} ${found === 1 ? "object" : "objects"} by ${answer.model} ${answer.version}`;
}

/** @param {HTMLCanvasElement} canvas @param {Blob} blob it stays grey where this browser cannot read it */
async function drawThumbnail(canvas, blob) {
  canvas.width = canvas.height = HEIGHT;
  const bitmap = await createImageBitmap(blob, { resizeHeight: HEIGHT, resizeQuality: "medium" }).catch(
    () => null,
  );
  if (!bitmap) return;
  canvas.width = bitmap.width;
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
}
