/**
 * The webcam through `WS /v1/live`: JPEG frames out, one answer per frame in, each shown over its own frame.
 *
 * The first message is the options as JSON; then every binary message is a frame, every text message an
 * answer as of POST /v1/segment with the frame's id (0, 1, ... as they arrive), or a problem of that frame.
 *
 * @import { Answer, LiveFrame, Picture } from "./types.js"
 */

import { keyProtocols } from "./key.js";
import { Problem, sentence } from "./problem.js";

const WANTED = { video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "environment" } };
const JPEG_QUALITY = 0.85;
// One frame is worked on while the next is on its way; more would only make answers older.
const IN_FLIGHT = 2;
const RATE_WINDOW_MS = 3000;
const REFUSED = 1008; // what the server closes with where asking again would not help
export const LATER = 503; // as by HTTP: asking again may help

/**
 * @typedef {{id: number, blob: Blob, bitmap: ImageBitmap, captured: number}} Frame
 *
 * @typedef {Object} Listener
 * @property {() => object} options of a stream that is about to begin
 * @property {(frame: LiveFrame, answer: Answer) => void} answered
 * @property {(problem: Problem) => void} refused one frame; the stream goes on
 * @property {(problem: Problem) => void} lost the camera or the stream; of status 503 where `connect` may help
 */

export class Camera {
  /** @param {Listener} listener which hears nothing after `stop` */
  constructor(listener) {
    this.listener = listener;
    this.video = document.createElement("video");
    this.video.muted = true;
    this.video.playsInline = true;
    this.canvas = document.createElement("canvas");
    this.stopped = false;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {Frame[]} sent and not answered, oldest first */
    this.pending = [];
    this.sent = 0;
    this.rate = new Rate();
    /** @type {Blob | null} the last frame answered */
    this.latest = null;
  }

  /** Films, once the visitor allows it, and begins a stream. */
  async start() {
    try {
      await this.film();
    } catch (error) {
      this.lose(new Problem("The camera cannot be used", describe(/** @type {Error} */ (error))));
      return;
    }
    this.connect();
  }

  /** Lets go of a camera that nobody wants any more by the time that the visitor allows it. */
  async film() {
    const stream = await navigator.mediaDevices.getUserMedia(WANTED);
    if (this.stopped) return release(stream);
    for (const track of stream.getTracks()) track.addEventListener("ended", () => this.lose(unplugged()));
    this.video.srcObject = stream;
    await this.video.play();
  }

  /** Begins a stream, in place of the one before. */
  connect() {
    this.disconnect();
    if (!this.video.srcObject) return; // not yet, or not any more
    const socket = (this.socket = new WebSocket(liveUrl(), keyProtocols()));
    socket.addEventListener("open", () => socket === this.socket && this.begin(socket));
    socket.addEventListener(
      "message",
      ({ data }) => socket === this.socket && this.receive(JSON.parse(data)),
    );
    socket.addEventListener("close", (event) => socket === this.socket && this.lose(whyClosed(event)));
  }

  /** @param {WebSocket} socket that is open by now */
  begin(socket) {
    socket.send(JSON.stringify(this.listener.options()));
    this.watchFrames(socket);
  }

  disconnect() {
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
    release(/** @type {MediaStream | null} */ (this.video.srcObject));
    this.video.srcObject = null;
    return this.latest && { blob: this.latest, name: "webcam.jpg", made: true };
  }

  /** @param {WebSocket} socket */
  watchFrames(socket) {
    this.video.requestVideoFrameCallback(async () => {
      if (this.socket !== socket) return;
      if (this.pending.length < IN_FLIGHT) await this.send(socket);
      this.watchFrames(socket);
    });
  }

  /** @param {WebSocket} socket */
  async send(socket) {
    const { canvas, video } = this;
    const captured = performance.now();
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d")?.drawImage(video, 0, 0);
    const [bitmap, blob] = await Promise.all([createImageBitmap(canvas), toJpeg(canvas)]);
    if (this.socket !== socket) return bitmap.close();
    this.pending.push({ id: this.sent++, blob, bitmap, captured });
    socket.send(blob);
  }

  /** @param {Answer & {frame_id: number, title?: string, detail?: string}} message */
  receive(message) {
    const frame = this.takePending(message.frame_id);
    if (!frame) return;
    if (!message.instances) {
      frame.bitmap.close();
      this.listener.refused(new Problem("A frame was refused", sentence(message.detail ?? "")));
      return;
    }
    const now = performance.now();
    this.latest = frame.blob;
    const live = { bitmap: frame.bitmap, fps: this.rate.count(now), age: now - frame.captured };
    this.listener.answered(live, message);
  }

  /**
   * @param {number} id
   * @returns {Frame | undefined} the frame of an answer; older ones were dropped by the server
   */
  takePending(id) {
    while (this.pending.length && this.pending[0].id < id) this.pending.shift()?.bitmap.close();
    return this.pending.shift();
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

/** @param {MediaStream | null} stream of a camera, whose light then goes out */
function release(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** @returns {Problem} of a camera that was filming */
function unplugged() {
  const detail = "It was unplugged, or this page is no longer allowed to use it.";
  return new Problem("The camera is gone", detail);
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

/** @param {Error} error */
function describe({ name, message }) {
  if (name === "NotAllowedError") return "Allow this page to use the camera in the browser's settings.";
  if (name === "NotFoundError") return "No camera is connected.";
  return message;
}
