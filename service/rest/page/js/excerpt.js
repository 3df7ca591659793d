/**
 * A card that shows one of two texts, to read and to copy.
 */

import { part } from "./dom.js";

const TOLD_MS = 1600; // how long the button says that it has copied

/**
 * @param {HTMLElement} card with two tabs, a `pre`, and a button to copy
 * @param {(tab: string, short: boolean) => string} textOf the id of a tab; short: for reading, in part
 * @returns {() => void} shows the text of now
 */
export function mountExcerpt(card, textOf) {
  const code = /** @type {HTMLElement} */ (card.querySelector("pre"));
  const copy = part(card, "copy");
  /** @type {HTMLButtonElement[]} */
  const tabs = [...card.querySelectorAll("button[role=tab]")].map(
    (tab) => /** @type {HTMLButtonElement} */ (tab),
  );
  let chosen = tabs[0].id;
  const refresh = () => (code.textContent = card.hidden ? "" : textOf(chosen, true));
  mountTabs(tabs, (tab) => {
    chosen = tab.id;
    code.setAttribute("aria-labelledby", tab.id);
    refresh();
  });
  copy.addEventListener("click", async () => {
    const copied = await copyText(textOf(chosen, false));
    copy.textContent = copied ? "Copied" : "Copy by hand";
    setTimeout(() => (copy.textContent = "Copy"), TOLD_MS);
  });
  return refresh;
}

/** @param {HTMLButtonElement[]} tabs @param {(tab: HTMLButtonElement) => void} chosen called at each change */
function mountTabs(tabs, chosen) {
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
