/**
 * The request and the answer, to read and to copy.
 *
 * @import { Picture, State } from "./types.js"
 * @import { Store } from "./store.js"
 */

import { byId } from "./dom.js";
import { answerJson, curlLine } from "./snippets.js";
import { visibleAnswer } from "./state.js";

/** @param {Store<State>} store */
export function mountResponse(store) {
  const card = byId("response", HTMLElement);
  const code = byId("code", HTMLElement);
  const copy = byId("copy", HTMLButtonElement);
  const save = byId("save", HTMLButtonElement);
  let chosen = "tab-curl";
  const refresh = () => {
    const state = store.get();
    // Of a still only: nobody reads JSON that changes with every frame.
    card.hidden = !state.picture || !state.answer;
    save.hidden = !state.picture?.made;
    save.textContent = `Save ${state.picture?.name}`;
    code.textContent = card.hidden ? "" : textFor(chosen, state, { short: true });
  };
  mountTabs((tab) => {
    chosen = tab.id;
    code.setAttribute("aria-labelledby", tab.id);
    refresh();
  });
  copy.addEventListener("click", async () => {
    const copied = await copyText(textFor(chosen, store.get(), { short: false }));
    copy.textContent = copied ? "Copied" : "Copy by hand";
    setTimeout(() => (copy.textContent = "Copy"), 1600);
  });
  save.addEventListener("click", () => {
    const { picture } = store.get();
    if (picture) saveFile(picture);
  });
  store.watch(
    ({ answer, picture, threshold, hidden, model }) => [answer, picture, threshold, hidden, model],
    refresh,
  );
}

/** @param {(tab: HTMLButtonElement) => void} chosen called with the tab the visitor turns to */
function mountTabs(chosen) {
  const tabs = [byId("tab-curl", HTMLButtonElement), byId("tab-json", HTMLButtonElement)];
  /** @param {HTMLButtonElement} tab */
  const choose = (tab) => {
    for (const one of tabs) {
      one.ariaSelected = String(one === tab);
      one.tabIndex = one === tab ? 0 : -1;
    }
    chosen(tab);
  };
  for (const [at, tab] of tabs.entries()) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      tabs[1 - at].focus();
      choose(tabs[1 - at]);
    });
  }
}

/** @param {string} tab @param {State} state @param {{short: boolean}} options */
function textFor(tab, state, options) {
  const answer = visibleAnswer(state);
  if (!answer) return "";
  return tab === "tab-curl" ? curlLine(state) : answerJson(answer, options);
}

/** @param {Picture} picture which the command then finds as a file */
function saveFile({ blob, name }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** @param {string} text @returns {Promise<boolean>} whether it is in the clipboard */
async function copyText(text) {
  // The clipboard API is there over HTTPS and on localhost only; a server in the LAN has the old way.
  if (!navigator.clipboard) return copySelected(text);
  return navigator.clipboard.writeText(text).then(
    () => true,
    () => false,
  );
}

/** @param {string} text */
function copySelected(text) {
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  return copied;
}
