/**
 * The request and the answer, to read, to copy and to save.
 *
 * @import { Answer, State } from "./types.js"
 * @import { Session } from "./session.js"
 * @import { Store } from "./store.js"
 */

import { fetchAnswer } from "./api.js";
import { byId } from "./dom.js";
import { mountExcerpt } from "./excerpt.js";
import { answerJson, askOf, curlLine } from "./snippets.js";
import { visibleAnswer } from "./state.js";

const FORMS = {
  coco: { accept: "application/json", ending: "coco.json" },
  overlay: { accept: "image/png", ending: "overlay.png" },
  cutouts: { accept: "application/zip", ending: "cutouts.zip" },
};

/** @param {Store<State>} store @param {Session} session */
export function mountResponse(store, session) {
  const card = byId("response", HTMLElement);
  const save = byId("save", HTMLButtonElement);
  const show = mountExcerpt(card, (tab, short) => textFor(tab, store.get(), { short }));
  save.addEventListener("click", () => {
    const { picture } = store.get();
    if (picture) saveFile(picture.blob, picture.name);
  });
  card.addEventListener("click", ({ target }) => {
    const kind = /** @type {keyof typeof FORMS | undefined} */ (
      /** @type {HTMLElement} */ (target).dataset.save
    );
    if (kind) download(kind, store.get()).catch((error) => session.fail(error));
  });
  store.watch(
    ({ answer, picture, threshold, hidden, model }) => [answer, picture, threshold, hidden, model],
    (state) => {
      // Of a still only: nobody reads JSON that changes with every frame.
      card.hidden = !state.picture || !state.answer;
      save.hidden = !state.picture?.made;
      save.textContent = `Save ${state.picture?.name}`;
      for (const button of card.querySelectorAll("button[data-save]")) {
        button.toggleAttribute("disabled", !visibleAnswer(state)?.instances.length);
      }
      show();
    },
  );
}

/** @param {string} tab @param {State} state @param {{short: boolean}} options */
function textFor(tab, state, options) {
  const answer = visibleAnswer(state);
  if (!answer) return "";
  return tab === "tab-curl" ? curlLine(state) : answerJson(answer, options);
}

/**
 * Asks the server once more for what the page shows, in a form to keep.
 *
 * @param {keyof typeof FORMS} kind
 * @param {State} state
 */
async function download(kind, state) {
  const { picture } = state;
  const ask = askOf(state);
  if (!picture || !ask) return;
  const { accept, ending } = FORMS[kind];
  const answered = await fetchAnswer(picture.blob, { ...ask, masks: "rle" }, accept);
  const content = kind === "coco" ? await writeDataset(answered, picture.name) : await answered.blob();
  saveFile(content, `${picture.name.replace(/\.[^.]*$/, "")}.${ending}`);
}

/** @param {Response} answered @param {string} name of the picture's file @returns {Promise<Blob>} */
async function writeDataset(answered, name) {
  const dataset = cocoDataset(await answered.json(), name);
  return new Blob([JSON.stringify(dataset)], { type: "application/json" });
}

/**
 * A picture's answer as a COCO dataset, which labelling tools and pycocotools open.
 *
 * @param {Answer} answer with masks as run lengths
 * @param {string} name of the picture's file
 */
function cocoDataset({ image, instances }, name) {
  const labels = new Map(instances.map(({ category_id, label }) => [category_id, label]));
  const numbers = [...labels.keys()].sort((first, second) => first - second);
  return {
    images: [{ id: 1, file_name: name, width: image.width, height: image.height }],
    categories: numbers.map((id) => ({ id, name: labels.get(id) })),
    annotations: instances.map(({ label: _, ...instance }, at) => ({
      id: at + 1,
      image_id: 1,
      iscrowd: 0,
      ...instance,
    })),
  };
}

/** @param {Blob} content @param {string} name of the file */
function saveFile(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
