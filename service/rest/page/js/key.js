/**
 * The key that a server may ask for: typed once, kept for as long as this tab is open.
 */

import { byId, part } from "./dom.js";

const STORED = "blitzmask.key";
const PROTOCOL = "blitzmask.v1";

/** @type {Promise<boolean> | null} the question that is open */
let asking = null;
let declined = false;

/** @returns {string | null} */
export function currentKey() {
  return sessionStorage.getItem(STORED);
}

/** @returns {Record<string, string>} the headers of every request */
export function keyHeaders() {
  const key = currentKey();
  return key ? { "X-API-Key": key } : {};
}

/** @returns {string[]} the subprotocols of a WebSocket, whose headers a page cannot choose */
export function keyProtocols() {
  const key = currentKey();
  if (!key) return [];
  const encoded = btoa(key).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return [PROTOCOL, `blitzmask.key.${encoded}`];
}

/**
 * Asks for a key, after a request was refused for want of a good one; once for all that wait for it.
 *
 * @param {string | null} tried the key of that request
 * @returns {Promise<boolean>} whether there is another one now
 */
export async function askForKey(tried) {
  if (currentKey() !== tried) return true; // given meanwhile
  if (declined) return false;
  asking ??= openDialog(tried !== null).finally(() => (asking = null));
  return asking;
}

/** Ask again, although the visitor did not want to say. */
export function forgetRefusal() {
  declined = false;
}

/** @param {boolean} wrong whether a key was refused @returns {Promise<boolean>} */
function openDialog(wrong) {
  const dialog = byId("key-dialog", HTMLDialogElement);
  const field = byId("key", HTMLInputElement);
  part(dialog, "wrong").hidden = !wrong;
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const close = () => {
      declined = dialog.returnValue !== "given";
      if (!declined) sessionStorage.setItem(STORED, field.value.trim());
      field.value = "";
      resolve(!declined);
    };
    dialog.addEventListener("close", close, { once: true });
  });
}

/** Lets the dialog's buttons do what they say. */
export function mountKey() {
  const dialog = byId("key-dialog", HTMLDialogElement);
  byId("key-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close("given");
  });
  byId("key-cancel", HTMLButtonElement).addEventListener("click", () => dialog.close());
}
