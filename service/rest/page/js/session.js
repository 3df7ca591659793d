/**
 * What the visitor can do: each action asks the server where it must, and puts the outcome in the store.
 *
 * @import { Answer, Entry, LiveFrame, Model, Picture, Place, State } from "./types.js"
 * @import { Store } from "./store.js"
 */

import { fetchFile, listModels, segment } from "./api.js";
import { forgetRefusal } from "./key.js";
import { sceneOf } from "./places.js";
import { Problem, blamePicture } from "./problem.js";
import {
  NMS,
  NOTHING_HIGHLIGHTED,
  NOTHING_SHOWN,
  SCORE_FLOOR,
  addEvents,
  defaultThreshold,
  keepHighlight,
  remember,
} from "./state.js";

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
      this.fail(error, () => this.ask());
    }
  }

  /** @param {Picture} picture */
  async open(picture) {
    this.store.set({ ...NOTHING_SHOWN, other: this.forgetOther(), picture });
    await this.ask();
  }

  /** @param {string} path of one of the page's own files @param {string} name */
  async openFile(path, name) {
    try {
      await this.open({ blob: await fetchFile(path), name, made: true });
    } catch (error) {
      this.fail(error, () => this.openFile(path, name));
    }
  }

  /** Segments the picture at hand (again); the request before, if one is under way, is given up. */
  async ask() {
    const { picture } = this.store.get();
    if (!picture) return;
    const signal = this.renewRequest();
    this.store.set({ phase: "busy", failure: null });
    try {
      const outcome = await segment(picture.blob, this.options(), signal);
      this.store.set({ ...outcome, phase: "ready", ...NOTHING_HIGHLIGHTED });
      this.remember();
      await this.askOther(signal);
    } catch (error) {
      if (!signal.aborted) this.fail(blamePicture(error, picture), () => this.ask());
    }
  }

  /**
   * Segments the picture at hand by the model beside the chosen one, if there is one.
   *
   * @param {AbortSignal} signal of what the visitor looks at now
   */
  async askOther(signal) {
    const { other, picture } = this.store.get();
    if (!other || !picture) return;
    const { name, version } = other.model;
    try {
      const asked = { ...this.options(), model: name, version };
      const { answer } = await segment(picture.blob, asked, signal);
      this.store.set({ other: { model: other.model, answer }, phase: "ready", failure: null });
    } catch (error) {
      if (!signal.aborted) this.fail(blamePicture(error, picture), () => this.askOther(signal));
    }
  }

  /** @param {Model | null} model to show beside the chosen one; null: none */
  async compare(model) {
    this.store.set({ other: model && { model, answer: null } });
    if (this.store.get().phase === "ready") await this.askOther(this.renewRequest());
  }

  /** Puts the picture and its answer among those of this visit. */
  remember() {
    const { picture, answer, roundTrip, model, masks, history } = this.store.get();
    if (!picture || !answer) return;
    this.store.set({ history: remember(history, { picture, answer, roundTrip, model, masks }) });
  }

  /** @param {Entry} entry to show again, with the answer that it had */
  async recall({ picture, answer, roundTrip, model, masks }) {
    const other = this.forgetOther();
    const shown = { picture, answer, roundTrip, model, masks, other };
    this.store.set({ ...NOTHING_SHOWN, ...shown, phase: "ready", failure: null });
    await this.askOther(this.renewRequest());
  }

  /** @returns {AbortSignal} of what is asked from now on; what was under way is given up */
  renewRequest() {
    this.request.abort();
    this.request = new AbortController();
    return this.request.signal;
  }

  /** @returns {State["other"]} the other model, without the answer to the picture before */
  forgetOther() {
    const { other } = this.store.get();
    return other && { ...other, answer: null };
  }

  /** After a failure: what has not been done yet, where doing it again can help. */
  async retry() {
    forgetRefusal();
    const { failure, model, picture, live, phase } = this.store.get();
    if (model && !failure?.again) return;
    this.store.set({ failure: null, phase: picture || live ? phase : "empty" });
    if (!model) await this.loadModels();
    await failure?.again?.();
  }

  /**
   * What every request asks for: all down to the floor, since the slider filters here.
   *
   * @returns {import("./api.js").Ask}
   */
  options() {
    const { model, masks, tiles } = this.store.get();
    const named = { model: model?.name, version: model?.version };
    return { ...named, score_threshold: SCORE_FLOOR, masks, nms: NMS, tiles };
  }

  /**
   * What a stream asks for: the same without tiles, identities for what the model is sure of wherever the
   * slider is, and the events of the places. Its counts begin at nothing.
   */
  beginStream() {
    const { model, places, clip } = this.store.get();
    this.store.set({ events: [], counts: null });
    const policy = clip ? "all" : "latest"; // a file can wait, a camera cannot
    const follow = { policy, track: true, track_threshold: defaultThreshold(model) };
    return { ...this.options(), tiles: undefined, ...follow, scene: sceneOf(places) };
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

  /** Makes room for the frames of the webcam or a video. */
  beginLive() {
    this.request.abort();
    this.store.set({ ...NOTHING_SHOWN, other: this.forgetOther(), phase: "busy", failure: null });
  }

  /** @param {File} file a video, to be played from its beginning */
  openClip(file) {
    this.beginLive();
    this.store.set({ clip: { file, paused: false } });
  }

  /** @param {boolean} paused */
  pauseClip(paused) {
    const { clip } = this.store.get();
    this.store.set({ clip: clip && { ...clip, paused } });
  }

  /** @param {LiveFrame} live @param {Answer} answer */
  showFrame(live, answer) {
    const before = this.store.get();
    const kept = keepHighlight(before, answer);
    const told = { events: addEvents(before.events, answer.events), counts: answer };
    this.store.set({ live, answer, phase: "ready", failure: null, roundTrip: live.age, ...told, ...kept });
    before.live?.bitmap.close();
  }

  /** @param {Picture | null} picture the last frame shown, to go on with as a still */
  endLive(picture) {
    const { live, answer, clip } = this.store.get();
    const rest = { picture, clip: picture && clip };
    this.store.set({ live: null, ...rest, phase: picture && answer ? "ready" : "empty" });
    live?.bitmap.close();
    this.remember();
    this.askOther(this.renewRequest());
  }

  /** @param {readonly Place[]} places */
  setPlaces(places) {
    this.store.set({ places, draft: null });
  }

  /** @param {unknown} error @param {() => unknown} [again] does what failed once more */
  fail(error, again) {
    const problem =
      error instanceof Problem ? error : new Problem("Something went wrong in this page", String(error));
    const { title, detail, passing } = problem;
    this.store.set({ phase: "failed", failure: { title, detail, again: (passing && again) || null } });
  }
}
