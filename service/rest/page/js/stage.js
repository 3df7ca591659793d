/**
 * The picture with its overlay: what is shown, and what the pointer touches.
 *
 * @import { State } from "./types.js"
 * @import { Session } from "./session.js"
 * @import { Store } from "./store.js"
 */

import { byId } from "./dom.js";
import { Overlay } from "./overlay.js";
import { absence, classCounts } from "./state.js";

/** @param {Store<State>} store @param {Session} session */
export function mountStage(store, session) {
  const canvas = byId("overlay", HTMLCanvasElement);
  const overlay = new Overlay(canvas);
  showPhase(store);
  showPicture(store);
  showLiveFrame(store);
  keepCrisp(canvas, () => overlay.draw(store.get()));
  store.watch(drawnParts, (state) => {
    overlay.draw(state);
    canvas.ariaLabel = describe(state);
  });
  followPointer(canvas, overlay, store, session);
}

/** @param {State} state @returns {readonly unknown[]} all that the overlay depends on */
function drawnParts({ answer, threshold, hidden, layers, hovered, pinned }) {
  return [answer, threshold, hidden, layers, hovered, pinned];
}

/** @param {Store<State>} store */
function showPhase(store) {
  const stage = byId("stage", HTMLElement);
  const empty = byId("empty", HTMLElement);
  const frame = byId("frame", HTMLElement);
  const bar = byId("bar", HTMLElement);
  store.watch(
    ({ phase, picture, visible, live }) => [phase, picture, visible, live === null],
    ({ phase, picture, visible, live }) => {
      const refused = phase === "failed" && !visible;
      stage.dataset.phase = phase;
      stage.ariaBusy = String(phase === "busy");
      frame.hidden = !live && (!picture || refused);
      const focusIsLost = empty.contains(document.activeElement);
      empty.hidden = !frame.hidden || phase === "busy";
      if (empty.hidden && focusIsLost) stage.focus(); // the button that was pressed is gone
      bar.hidden = !empty.hidden;
    },
  );
}

/** @param {Store<State>} store */
function showPicture(store) {
  const stage = byId("stage", HTMLElement);
  const image = byId("picture", HTMLImageElement);
  image.addEventListener("load", () => {
    setAspect(stage, image.naturalWidth / image.naturalHeight);
    store.set({ visible: true });
  });
  // Where this browser cannot read what the server can, the overlay alone is shown.
  store.watch(
    ({ visible }) => [visible],
    ({ visible }) => (image.hidden = !visible),
  );
  store.watch(
    ({ picture }) => [picture],
    ({ picture }) => {
      URL.revokeObjectURL(image.src);
      if (picture) image.src = URL.createObjectURL(picture.blob);
      else image.removeAttribute("src");
      image.alt = picture ? picture.name : "";
    },
  );
  store.watch(
    ({ answer }) => [answer?.image.width, answer?.image.height],
    ({ answer }) => answer && setAspect(stage, answer.image.width / answer.image.height),
  );
}

/** @param {HTMLElement} stage @param {number} aspect of all pictures in it, width over height */
function setAspect(stage, aspect) {
  stage.style.setProperty("--aspect", String(aspect));
}

/** @param {Store<State>} store */
function showLiveFrame(store) {
  const canvas = byId("live", HTMLCanvasElement);
  const context = canvas.getContext("2d");
  store.watch(
    ({ live }) => [live],
    ({ live }) => {
      canvas.hidden = !live;
      if (!live) return;
      if (canvas.width !== live.bitmap.width) canvas.width = live.bitmap.width;
      if (canvas.height !== live.bitmap.height) canvas.height = live.bitmap.height;
      context?.drawImage(live.bitmap, 0, 0);
    },
  );
}

/**
 * Gives the canvas exactly the screen's pixels, whatever its size and the zoom.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {() => void} redraw
 */
export function keepCrisp(canvas, redraw) {
  const observer = new ResizeObserver(([entry]) => {
    const device = entry.devicePixelContentBoxSize?.[0];
    canvas.width = device?.inlineSize ?? Math.round(entry.contentRect.width * devicePixelRatio);
    canvas.height = device?.blockSize ?? Math.round(entry.contentRect.height * devicePixelRatio);
    redraw();
  });
  try {
    observer.observe(canvas, { box: "device-pixel-content-box" });
  } catch {
    observer.observe(canvas); // Safari does not tell device pixels
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Overlay} overlay
 * @param {Store<State>} store
 * @param {Session} session
 */
function followPointer(canvas, overlay, store, session) {
  /** @param {MouseEvent} event */
  const touched = (event) =>
    overlay.find(store.get(), {
      x: event.offsetX / canvas.clientWidth,
      y: event.offsetY / canvas.clientHeight,
    });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse") store.set({ hovered: touched(event) });
  });
  canvas.addEventListener("pointerleave", () => store.set({ hovered: null }));
  canvas.addEventListener("click", (event) => session.pin(touched(event)));
}

/** @param {State} state @returns {string} */
function describe(state) {
  const counts = classCounts(state).filter(([label]) => !state.hidden.has(label));
  if (!counts.length) return absence(state);
  return `Objects: ${counts.map(([label, count]) => `${count} ${label}`).join(", ")}`;
}
