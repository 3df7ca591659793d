/** The word in the page's corner: whether the server is ready. */

import { checkReady } from "./api.js";
import { byId } from "./dom.js";
import { Problem } from "./problem.js";

const EVERY_MS = 5000;

/** @param {() => void} recovered called when the server is ready after it was not */
export function mountHealth(recovered) {
  const word = byId("health", HTMLElement);
  const check = async () => {
    const before = word.dataset.health;
    const { health, text, detail } = await currentHealth();
    if (word.textContent !== text) word.textContent = text;
    word.dataset.health = health;
    word.title = detail;
    if (health === "good" && before === "bad") recovered();
  };
  setInterval(() => document.hidden || check(), EVERY_MS);
  check();
}

async function currentHealth() {
  try {
    await checkReady();
    return {
      health: "good",
      text: "Ready",
      detail: "The models are loaded and have passed their self-tests.",
    };
  } catch (error) {
    const { status, detail } = error instanceof Problem ? error : { status: 0, detail: String(error) };
    return { health: "bad", text: status ? "Not ready" : "Offline", detail };
  }
}
