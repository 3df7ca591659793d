/**
 * A video through `WS /v1/live`: JPEG frames out, one answer per frame in, each shown over its own frame.
 *
 * The first message is the options as JSON; then every frame is a text message with its capture time and a
 * binary message. Every text message that comes back is an answer as of POST /v1/segment with the frame's id
 * (0, 1, ... as they arrive), the events and counts of the scene, or a problem of that frame.
 *
 * @import { Answer, LiveFrame, Picture } from "./types.js"
 * @import { Source } from "./sources.js"
 */

import { keyProtocols } from "./key.js";
import { Problem, sentence } from "./problem.js";

const JPEG_QUALITY = 0.85;
// One frame is worked on while the next is on its way; more would only make answers older.
const IN_FLIGHT = 2;
const RATE_WINDOW_MS = 3000;
const REFUSED = 1008; // what the server closes with where asking again would not help
export const LATER = 503; // as by HTTP: asking again may help

/**
 * @typedef {{id: number, blob: Blob, bitmap: ImageBitmap, captured: number, time: number}} Frame
 *
 * @typedef {Object} Listener
 * @property {() => object} options of a stream that is about to begin
 * @property {(frame: LiveFrame, answer: Answer) => void} answered
 * @property {(problem: Problem) => void} refused one frame; the stream goes on
 * @property {(problem: Problem) => void} lost the source or the stream; of status 503 where `connect` may help
 * @property {() => void} ended the last frame is answered
 */

export class Feed {
  /** @param {Source} source @param {Listener} listener which hears nothing after `stop` */
  constructor(source, listener) {
    this.source = source;
    this.listener = listener;
    this.canvas = document.createElement("canvas");
    this.stopped = false;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {Frame[]} sent and not answered, oldest first */
    this.pending = [];
    this.sending = false;
    this.sent = 0;
    this.rate = new Rate();
    /** @type {Frame | null} the last one answered */
    this.latest = null;
  }

  /** Opens the source, once the visitor allows it, and begins a stream. */
  async start() {
    try {
      await this.source.open((problem) => this.lose(problem));
    } catch (error) {
      this.lose(this.source.explain(/** @type {Error} */ (error)));
      return;
    }
    this.source.video.addEventListener("ended", () => this.endIfDone());
    this.connect();
  }

  /** Begins a stream, in place of the one before. */
  connect() {
    this.disconnect();
    if (!this.source.opened) return; // not yet, or not any more
    const socket = (this.socket = new WebSocket(liveUrl(), keyProtocols()));
    socket.addEventListener("open", () => socket === this.socket && this.begin(socket));
    socket.addEventListener(
      "message",
      ({ data }) => socket === this.socket && this.receive(JSON.parse(data)),
    );
    socket.addEventListener("close", (event) => socket === this.socket && this.close(event));
  }

  /** @param {WebSocket} socket that is open by now */
  begin(socket) {
    socket.send(JSON.stringify(this.listener.options()));
    this.watchFrames(socket);
    if (this.source.paused) this.send(socket, this.source.video.currentTime);
    this.source.resume();
  }

  disconnect() {
    this.source.wait();
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    for (const { bitmap } of this.pending.splice(0)) bitmap.close();
    this.sent = 0;
  }

  /** @returns {Picture | null} the last frame answered */
  stop() {
    this.stopped = true;
    this.disconnect();
    this.source.close();
    const { latest } = this;
    return latest && { blob: latest.blob, name: this.source.nameStill(latest.time), made: true };
  }

  /** Goes on after a pause, in a new stream where the server has closed the one before. */
  play() {
    this.source.play();
    if (!this.socket) this.connect();
  }

  /** @param {number} seconds from where a new stream begins, so that it counts from there */
  seek(seconds) {
    this.source.video.currentTime = seconds;
    this.connect();
  }

  /** @param {WebSocket} socket */
  watchFrames(socket) {
    this.source.video.requestVideoFrameCallback(async (now, { mediaTime }) => {
      if (this.socket !== socket) return;
      if (this.pending.length < IN_FLIGHT) await this.send(socket, this.source.timeOf(now, mediaTime));
      if (this.pending.length >= IN_FLIGHT) this.source.wait();
      if (this.socket === socket) this.watchFrames(socket);
    });
  }

  /** @param {WebSocket} socket @param {number} time of the frame, in seconds of the source's clock */
  async send(socket, time) {
    const { canvas, source } = this;
    const captured = performance.now();
    canvas.width = source.video.videoWidth;
    canvas.height = source.video.videoHeight;
    canvas.getContext("2d")?.drawImage(source.video, 0, 0);
    this.sending = true;
    const [bitmap, blob] = await Promise.all([createImageBitmap(canvas), toJpeg(canvas)]);
    this.sending = false;
    if (this.socket !== socket) return bitmap.close();
    this.pending.push({ id: this.sent++, blob, bitmap, captured, time });
    socket.send(JSON.stringify({ capture_time_us: Math.round(time * 1e6) }));
    socket.send(blob);
  }

  /** @param {Answer & {frame_id: number, title?: string, detail?: string}} message */
  receive(message) {
    const frame = this.takePending(message.frame_id);
    if (!frame) return;
    this.source.resume();
    if (!message.instances) {
      frame.bitmap.close();
      this.listener.refused(new Problem("A frame was refused", sentence(message.detail ?? "")));
      return;
    }
    const now = performance.now();
    this.latest = frame;
    const { bitmap, captured, time } = frame;
    this.listener.answered({ bitmap, time, fps: this.rate.count(now), age: now - captured }, message);
    this.endIfDone();
  }

  /** Ends a source that has played to its end, once its last frame is answered. */
  endIfDone() {
    const waiting = this.sending || this.pending.length > 0 || this.stopped;
    if (this.source.video.ended && !waiting) this.listener.ended();
  }

  /**
   * @param {number} id
   * @returns {Frame | undefined} the frame of an answer; older ones were dropped by the server
   */
  takePending(id) {
    while (this.pending.length && this.pending[0].id < id) this.pending.shift()?.bitmap.close();
    return this.pending.shift();
  }

  /** @param {CloseEvent} event which is no loss while the source pauses: `play` connects again */
  close(event) {
    if (this.source.paused) this.disconnect();
    else this.lose(whyClosed(event));
  }

  /** @param {Problem} problem */
  lose(problem) {
    this.disconnect();
    if (!this.stopped) this.listener.lost(problem);
  }
}

/** Events per second, over the last few seconds. */
class Rate {
  constructor() {
    /** @type {number[]} */
    this.times = [];
  }

  /** @param {number} now milliseconds @returns {number} */
  count(now) {
    this.times = [...this.times.filter((time) => now - time < RATE_WINDOW_MS), now];
    const seconds = (now - this.times[0]) / 1000;
    return seconds && (this.times.length - 1) / seconds;
  }
}

/** @returns {URL} */
export function liveUrl() {
  const url = new URL("v1/live", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  return url;
}

/**
 * Why a stream ended; a browser does not tell a server that is gone from one that turns it away.
 *
 * @param {CloseEvent} event
 * @returns {Problem}
 */
function whyClosed({ code, reason }) {
  if (code === REFUSED) return new Problem("The live stream ended", sentence(reason), 400);
  const detail = reason || "there is no connection to the server";
  return new Problem("The live stream is interrupted", sentence(detail), LATER);
}

/** @param {HTMLCanvasElement} canvas @returns {Promise<Blob>} */
function toJpeg(canvas) {
  return new Promise((resolve, reject) => {
    const done = (/** @type {Blob | null} */ blob) => (blob ? resolve(blob) : reject(new Error("no frame")));
    canvas.toBlob(done, "image/jpeg", JPEG_QUALITY);
  });
}
