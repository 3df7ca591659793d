/**
 * The choices beside the picture: model, answer, layers, least score, classes.
 *
 * @import { Layer, MaskFormat, State } from "./types.js"
 * @import { Session } from "./session.js"
 * @import { Store } from "./store.js"
 */

import { byId, part, renderList } from "./dom.js";
import { NOTHING_HIGHLIGHTED, classCounts } from "./state.js";

/** @param {Store<State>} store @param {Session} session */
export function mountChoices(store, session) {
  mountModel(store, session);
  mountFormat(store, session);
  mountTiles(session);
  mountLayers(store);
  mountThreshold(store);
  mountClasses(store, session);
}

/** @param {Store<State>} store @param {Session} session */
function mountModel(store, session) {
  const select = byId("model", HTMLSelectElement);
  select.addEventListener("change", () => {
    session.choose({ model: store.get().models[select.selectedIndex] });
  });
  store.watch(
    ({ models, model }) => [models, model],
    ({ models, model }) => {
      select.replaceChildren(...models.map(({ name, version }) => new Option(`${name} · ${version}`)));
      select.selectedIndex = models.findIndex((one) => one === model);
      select.disabled = models.length < 2;
    },
  );
}

/** @param {Store<State>} store @param {Session} session */
function mountFormat(store, session) {
  const select = byId("format", HTMLSelectElement);
  select.value = store.get().masks;
  select.addEventListener("change", () => {
    session.choose({ masks: /** @type {MaskFormat} */ (select.value) });
  });
}

/** @param {Session} session */
function mountTiles(session) {
  const select = byId("tiling", HTMLSelectElement);
  select.addEventListener("change", () => session.choose({ tiles: select.value }));
}

/** @param {Store<State>} store */
function mountLayers(store) {
  for (const button of byId("layers", HTMLElement).querySelectorAll("button")) {
    const layer = /** @type {Layer} */ (button.dataset.layer);
    button.addEventListener("click", () => {
      const { layers } = store.get();
      store.set({ layers: { ...layers, [layer]: !layers[layer] } });
    });
    store.watch(
      ({ layers }) => [layers[layer]],
      ({ layers }) => (button.ariaPressed = String(layers[layer])),
    );
  }
}

/** @param {Store<State>} store */
function mountThreshold(store) {
  const input = byId("threshold", HTMLInputElement);
  const output = byId("threshold-value", HTMLOutputElement);
  const rug = byId("rug", HTMLElement);
  const tick = byId("tick-template", HTMLTemplateElement);
  input.addEventListener("input", () => {
    store.set({ threshold: input.valueAsNumber, ...NOTHING_HIGHLIGHTED });
  });
  store.watch(
    ({ threshold, answer }) => [threshold, answer],
    ({ threshold, answer }) => {
      input.valueAsNumber = threshold;
      output.value = threshold.toFixed(2);
      const span = Number(input.max) - Number(input.min);
      input.style.setProperty("--share", `${((threshold - Number(input.min)) / span) * 100}%`);
      renderList(rug, tick, answer?.instances ?? [], (mark, { score }) => {
        mark.style.left = `${Math.min(1, (score - Number(input.min)) / span) * 100}%`;
        mark.toggleAttribute("data-kept", score >= threshold);
      });
    },
  );
}

/** @param {Store<State>} store @param {Session} session */
function mountClasses(store, session) {
  const field = byId("classes-field", HTMLElement);
  const chips = byId("classes", HTMLElement);
  const template = byId("class-template", HTMLTemplateElement);
  chips.addEventListener("click", (event) => {
    const chip = /** @type {HTMLElement} */ (event.target).closest("button");
    if (chip?.dataset.label) session.toggleClass(chip.dataset.label);
  });
  store.watch(
    ({ answer, threshold, hidden }) => [answer, threshold, hidden],
    (state) => {
      const counts = classCounts(state);
      field.hidden = counts.length < 2 && !state.hidden.size;
      renderList(chips, template, counts, (chip, [label, count]) => {
        chip.dataset.label = label;
        chip.ariaPressed = String(!state.hidden.has(label));
        part(chip, "label").textContent = label;
        part(chip, "count").textContent = String(count);
      });
    },
  );
}
