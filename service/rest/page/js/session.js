/**
 * What the visitor can do: each action asks the server where it must, and puts the outcome in the store.
 *
 * @import { Answer, LiveFrame, Picture, State } from "./types.js"
 * @import { Store } from "./store.js"
 */

import { Problem, fetchFile, listModels, segment } from "./api.js";
import { forgetRefusal } from "./key.js";
import { NOTHING_HIGHLIGHTED, SCORE_FLOOR, defaultThreshold, keepHighlight } from "./state.js";

export class Session {
  /** @param {Store<State>} store */
  constructor(store) {
    this.store = store;
    this.request = new AbortController();
  }

  async loadModels() {
    try {
      const { models } = await listModels();
      const model = models[0] ?? null;
      this.store.set({ models, model, threshold: defaultThreshold(model) });
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {Picture} picture */
  async open(picture) {
    this.store.set({
      picture,
      visible: false,
      answer: null,
      live: null,
      hidden: new Set(),
      ...NOTHING_HIGHLIGHTED,
    });
    await this.ask();
  }

  /** @param {string} path of one of the page's own files @param {string} name */
  async openFile(path, name) {
    try {
      await this.open({ blob: await fetchFile(path), name });
    } catch (error) {
      this.fail(error);
    }
  }

  /** Segments the picture at hand (again); the request before, if one is under way, is given up. */
  async ask() {
    const { picture } = this.store.get();
    if (!picture) return;
    this.request.abort();
    this.request = new AbortController();
    const { signal } = this.request;
    this.store.set({ phase: "busy", failure: null });
    try {
      const outcome = await segment(picture.blob, this.options(), signal);
      this.store.set({ ...outcome, phase: "ready", ...NOTHING_HIGHLIGHTED });
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  /** After a failure: whatever has not been done yet. */
  async retry() {
    forgetRefusal();
    const { picture, phase } = this.store.get();
    this.store.set({ failure: null, phase: picture ? phase : "empty" });
    if (!this.store.get().model) await this.loadModels();
    await this.ask();
  }

  /** What every request asks for: all down to the floor, since the slider filters here. */
  options() {
    const { model, masks } = this.store.get();
    return { model: model?.name, version: model?.version, score_threshold: SCORE_FLOOR, masks };
  }

  /** What a stream asks for: identities, and for the sake of speed only what is shown. */
  liveOptions() {
    return { ...this.options(), score_threshold: this.store.get().threshold, track: true };
  }

  /** @param {Partial<State>} choice of model or mask format */
  async choose(choice) {
    this.store.set(choice);
    if (choice.model) this.store.set({ threshold: defaultThreshold(choice.model) });
    await this.ask();
  }

  /** @param {string} label */
  toggleClass(label) {
    const hidden = new Set(this.store.get().hidden);
    if (!hidden.delete(label)) hidden.add(label);
    this.store.set({ hidden, ...NOTHING_HIGHLIGHTED });
  }

  /** @param {number | null} index of the instance to keep highlighted; again to let it go */
  pin(index) {
    const { answer, pinned } = this.store.get();
    const chosen = pinned === index ? null : index;
    const followed = chosen === null ? null : (answer?.instances[chosen]?.track_id ?? null);
    this.store.set({ pinned: chosen, followed });
  }

  /** Makes room for the webcam's frames. */
  beginLive() {
    this.request.abort();
    this.store.set({
      picture: null,
      visible: false,
      answer: null,
      phase: "busy",
      failure: null,
      ...NOTHING_HIGHLIGHTED,
    });
  }

  /** @param {LiveFrame} live @param {Answer} answer */
  showFrame(live, answer) {
    const before = this.store.get();
    const kept = keepHighlight(before, answer);
    this.store.set({ live, answer, phase: "ready", failure: null, roundTrip: live.age, ...kept });
    before.live?.bitmap.close();
  }

  /** @param {Picture | null} picture the last frame shown, to go on with as a still */
  endLive(picture) {
    const { live, answer } = this.store.get();
    this.store.set({ live: null, picture, phase: picture && answer ? "ready" : "empty" });
    live?.bitmap.close();
  }

  /** @param {unknown} error */
  fail(error) {
    const failure =
      error instanceof Problem
        ? { title: error.title, detail: error.detail }
        : { title: "Something went wrong in this page", detail: String(error) };
    this.store.set({ phase: "failed", failure });
  }
}
