/**
 * What the page starts with, and what follows from what it knows.
 *
 * @import { Answer, Entry, Instance, Model, State, StreamEvent } from "./types.js"
 */

// The server is asked once for all down to this score; the slider then only filters.
export const SCORE_FLOOR = 0.05;
// One label for an object: people look for objects, and a second label at the same place confuses them.
export const NMS = "all";
const DEFAULT_THRESHOLD = 0.3;

const MOST_EVENTS = 200;
const MOST_ENTRIES = 24;
const MOST_BYTES = 200e6; // of the pictures of this visit

export const NOTHING_HIGHLIGHTED = { hovered: null, pinned: null, followed: null };

export const NOTHING_SHOWN = {
  picture: null,
  visible: false,
  answer: null,
  live: null,
  clip: null,
  events: [],
  counts: null,
  draft: null,
  hidden: new Set(),
  ...NOTHING_HIGHLIGHTED,
};

/** @returns {State} */
export function initialState() {
  return {
    models: [],
    model: null,
    masks: "rle",
    tiles: "",
    phase: "empty",
    failure: null,
    roundTrip: 0,
    threshold: DEFAULT_THRESHOLD,
    layers: { masks: true, boxes: true, labels: true },
    places: [],
    other: null,
    history: [],
    ...NOTHING_SHOWN,
  };
}

/** @param {Model | null} model */
export function defaultThreshold(model) {
  return Math.max(SCORE_FLOOR, model?.score_threshold ?? DEFAULT_THRESHOLD);
}

/**
 * The instances that score high enough, with their place in the answer; best first.
 *
 * @param {Pick<State, "answer" | "threshold">} state
 * @returns {{index: number, instance: Instance}[]}
 */
export function scoringInstances({ answer, threshold }) {
  const all = (answer?.instances ?? []).map((instance, index) => ({ index, instance }));
  return all.filter(({ instance }) => instance.score >= threshold);
}

/**
 * The instances to show: those that score high enough and whose class is not switched off.
 *
 * @param {Pick<State, "answer" | "threshold" | "hidden">} state
 */
export function visibleInstances(state) {
  return scoringInstances(state).filter(({ instance }) => !state.hidden.has(instance.label));
}

/**
 * The same in the order of the list: best first, and while the webcam runs by identity, so that rows stay.
 *
 * @param {Pick<State, "answer" | "threshold" | "hidden" | "live">} state
 */
export function listedInstances(state) {
  const shown = visibleInstances(state);
  if (!state.live) return shown;
  /** @param {{instance: Instance}} shown */
  const rank = ({ instance }) => instance.track_id ?? Number.MAX_SAFE_INTEGER;
  return shown.sort((first, second) => rank(first) - rank(second));
}

/**
 * What stays highlighted when a frame takes another's place: the same objects, wherever they are ranked now.
 * One that is pinned is followed even while it is out of sight.
 *
 * @param {Pick<State, "answer" | "hovered" | "followed">} before
 * @param {Answer} answer of the new frame
 */
export function keepHighlight({ answer: before, hovered, followed }, answer) {
  const touched = hovered === null ? null : (before?.instances[hovered]?.track_id ?? null);
  return { hovered: findTrack(answer, touched), pinned: findTrack(answer, followed) };
}

/** @param {Answer} answer @param {number | null} id of an identity @returns {number | null} its place */
function findTrack(answer, id) {
  const place = id === null ? -1 : answer.instances.findIndex(({ track_id }) => track_id === id);
  return place < 0 ? null : place;
}

/**
 * The answer as the server gives it at the threshold and with the classes chosen.
 *
 * @param {State} state
 * @returns {Answer | null}
 */
export function visibleAnswer(state) {
  const instances = visibleInstances(state).map(({ instance }) => instance);
  return state.answer && { ...state.answer, instances };
}

/**
 * How many instances score high enough, by class, most frequent first.
 *
 * @param {Pick<State, "answer" | "threshold">} state
 * @returns {[label: string, count: number][]}
 */
export function classCounts(state) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { instance } of scoringInstances(state)) {
    counts.set(instance.label, (counts.get(instance.label) ?? 0) + 1);
  }
  return [...counts].sort(([, first], [, second]) => second - first);
}

/**
 * The events of a stream with those of one more frame, the newest first.
 *
 * @param {readonly StreamEvent[]} before
 * @param {readonly StreamEvent[]} [happened] the oldest first
 */
export function addEvents(before, happened = []) {
  return happened.length ? [...happened.toReversed(), ...before].slice(0, MOST_EVENTS) : before;
}

/**
 * The pictures of this visit with one more, or with a newer answer to it; the oldest make room.
 *
 * @param {readonly Entry[]} history
 * @param {Entry} entry
 * @returns {readonly Entry[]}
 */
export function remember(history, entry) {
  const at = history.findIndex(({ picture }) => picture === entry.picture);
  const all = at < 0 ? [...history, entry] : history.with(at, entry);
  let bytes = 0;
  const first = all.findLastIndex(({ picture }, place) => {
    bytes += picture.blob.size;
    return all.length - place > MOST_ENTRIES || (bytes > MOST_BYTES && place < all.length - 1);
  });
  return all.slice(first + 1);
}

/** @param {State} state @returns {string} why no object is shown */
export function absence(state) {
  const { phase, answer } = state;
  if (phase === "busy") return "Looking…";
  if (!answer) return "What is found in the picture is listed here.";
  if (!answer.instances.length) return "Nothing found in this picture.";
  if (scoringInstances(state).length) return "All classes found here are switched off.";
  return "Nothing scores this high. Lower the threshold to see more.";
}

/**
 * The objects that are not in the list, and the grey ones in it, explained.
 *
 * @param {State} state
 * @param {readonly {instance: Instance}[]} shown
 * @returns {string} "" where there are none
 */
export function explainRest(state, shown) {
  const all = state.answer?.instances.length ?? 0;
  const scoring = scoringInstances(state).length;
  const grey = state.live ? shown.filter(({ instance }) => instance.track_id === undefined).length : 0;
  const sentences = [
    all > scoring && `Below the threshold: ${all - scoring}.`,
    scoring > shown.length && `In classes that are switched off: ${scoring - shown.length}.`,
    grey && "Grey objects have no identity: they score too low to begin one, or have been seen only once.",
  ];
  return sentences.filter(Boolean).join(" ");
}

/** @param {Instance} instance @returns {string} its label, and its identity where it has one */
export function instanceName({ label, track_id }) {
  return track_id === undefined ? label : `${label} #${track_id}`;
}

/** @param {Pick<State, "hovered" | "pinned">} state @returns {number | null} */
export function highlighted({ hovered, pinned }) {
  return hovered ?? pinned;
}
