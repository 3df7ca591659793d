/**
 * The server's metrics as the few figures that the status view shows.
 *
 * @import { Sample } from "./prometheus.js"
 */

import { gained, parseMetrics, quantile, total } from "./prometheus.js";

const KEPT = 90; // scrapes, at one every two seconds: three minutes
const WINDOW = 5; // scrapes that a rate looks back over
// One picture or one frame of a stream, over either transport; not a stream as a whole.
const ANSWERED = /(segment|frame)$/i;

/**
 * @typedef {Object} Figures of one scrape; NaN: not known
 * @property {number} rate images per second
 * @property {number} images since the server started
 * @property {number} p50 milliseconds of a request
 * @property {number} p95 milliseconds of a request
 * @property {number} waiting requests
 * @property {number} places in the queue
 * @property {number} busy slots
 * @property {number} slots
 * @property {number} streams open
 * @property {number} refused by the full queue since the start
 * @property {[name: string, milliseconds: number][]} stages mean times per image since the start
 *
 * @typedef {Object} Tile
 * @property {string} name
 * @property {string} unit
 * @property {(figures: Figures) => number} value
 * @property {(figures: Figures) => string} note
 */

/** @type {readonly Tile[]} */
const TILES = [
  {
    name: "Throughput",
    unit: "images/s",
    value: ({ rate }) => rate,
    note: ({ images }) => `${count(images)} since the start`,
  },
  {
    name: "Latency",
    unit: "ms, median",
    value: ({ p50 }) => p50,
    note: ({ p95 }) => (Number.isNaN(p95) ? "no request just now" : `95 % within ${p95.toFixed(0)} ms`),
  },
  {
    name: "Queue",
    unit: "waiting",
    value: ({ waiting }) => waiting,
    note: ({ places, refused }) => `${count(places)} places, ${count(refused)} refused because it was full`,
  },
  {
    name: "Slots",
    unit: "at work",
    value: ({ busy }) => busy,
    note: ({ slots }) => `${count(slots)} in all`,
  },
  {
    name: "Streams",
    unit: "open",
    value: ({ streams }) => streams,
    note: () => "gRPC and WebSocket",
  },
];

/** @param {Figures} figures @returns {Tile[]} those that this server has something to say on */
export function tilesOf({ streams }) {
  return TILES.filter(({ name }) => name !== "Streams" || !Number.isNaN(streams));
}

/** @param {number} value */
function count(value) {
  return (value || 0).toLocaleString("en");
}

/** Turns scrapes into figures, looking back a little for the rates. */
export class Recorder {
  constructor() {
    /** @type {{at: number, samples: Sample[]}[]} */
    this.scrapes = [];
    /** @type {Figures[]} */
    this.history = [];
  }

  /**
   * @param {string} text Prometheus' text format
   * @param {number} at milliseconds of any clock
   * @returns {Figures[]} those of this scrape last
   */
  record(text, at) {
    const samples = parseMetrics(text);
    const past = this.scrapes[0] ?? { at, samples };
    this.history = [...this.history, figuresOf(samples, past.samples, (at - past.at) / 1000)].slice(-KEPT);
    this.scrapes = [...this.scrapes, { at, samples }].slice(-WINDOW);
    return this.history;
  }
}

/**
 * @param {readonly Sample[]} now
 * @param {readonly Sample[]} before
 * @param {number} seconds between the two
 * @returns {Figures}
 */
function figuresOf(now, before, seconds) {
  const recent = gained(now, before);
  const answers = recent.filter(({ labels }) => ANSWERED.test(labels.method));
  return {
    rate: total(recent, "blitzmask_stage_seconds_count", { stage: "infer" }) / seconds,
    images: total(now, "blitzmask_stage_seconds_count", { stage: "infer" }),
    p50: quantile(0.5, answers, "blitzmask_request_seconds") * 1000,
    p95: quantile(0.95, answers, "blitzmask_request_seconds") * 1000,
    waiting: total(now, "blitzmask_queue_length"),
    places: total(now, "blitzmask_queue_limit"),
    busy: total(now, "blitzmask_slots_busy"),
    slots: total(now, "blitzmask_slots"),
    streams: total(now, "blitzmask_streams"),
    refused: total(now, "blitzmask_queue_refused"),
    stages: stageMeans(now),
  };
}

/** @param {readonly Sample[]} samples @returns {[name: string, milliseconds: number][]} in the order of the work */
function stageMeans(samples) {
  const sums = samples.filter(({ name }) => name === "blitzmask_stage_seconds_sum");
  const names = [...new Set(sums.map(({ labels }) => labels.stage))];
  const ordered = [...names.filter((name) => name === "queue"), ...names.filter((name) => name !== "queue")];
  return ordered.map((stage) => {
    const seconds = total(samples, "blitzmask_stage_seconds_sum", { stage });
    return [stage, (1000 * seconds) / total(samples, "blitzmask_stage_seconds_count", { stage })];
  });
}
