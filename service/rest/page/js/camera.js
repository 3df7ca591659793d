/**
 * The webcam through `WS /v1/live`: JPEG frames out, one answer per frame in, each shown over its own frame.
 *
 * The first message is the options as JSON; then every binary message is a frame, every text message an
 * answer as of POST /v1/segment with the frame's id (0, 1, ... as they arrive), or a problem of that frame.
 *
 * @import { Answer, LiveFrame, Picture } from "./types.js"
 */

import { Problem } from "./api.js";
import { keyProtocols } from "./key.js";

const WANTED = { video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "environment" } };
const JPEG_QUALITY = 0.85;
// One frame is worked on while the next is on its way; more would only make answers older.
const IN_FLIGHT = 2;
const RATE_WINDOW_MS = 3000;
const REFUSED = 1008; // what the server closes with where asking again would not help

/**
 * @typedef {{id: number, blob: Blob, bitmap: ImageBitmap, captured: number}} Frame
 *
 * @typedef {Object} Listener
 * @property {(frame: LiveFrame, answer: Answer) => void} answered
 * @property {(problem: Problem) => void} refused one frame; the stream goes on
 * @property {(problem: Problem) => void} lost the stream
 */

export class Camera {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    this.video = document.createElement("video");
    this.video.muted = true;
    this.video.playsInline = true;
    this.canvas = document.createElement("canvas");
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {Frame[]} sent and not answered, oldest first */
    this.pending = [];
    this.sent = 0;
    this.rate = new Rate();
    /** @type {Blob | null} the last frame answered */
    this.latest = null;
  }

  /**
   * Raises a Problem when there is no camera, no permission, or no connection.
   *
   * @param {object} options of the stream
   */
  async start(options) {
    try {
      this.video.srcObject = await navigator.mediaDevices.getUserMedia(WANTED);
      await this.video.play();
    } catch (error) {
      throw new Problem("The camera cannot be used", describe(/** @type {Error} */ (error)));
    }
    await this.connect(options);
  }

  /**
   * Begins a stream, in place of the one before; raises a Problem where the server does not want one.
   *
   * @param {object} options of the stream
   */
  async connect(options) {
    this.disconnect();
    const socket = (this.socket = new WebSocket(liveUrl(), keyProtocols()));
    socket.addEventListener(
      "message",
      ({ data }) => socket === this.socket && this.receive(JSON.parse(data)),
    );
    try {
      await opened(socket);
    } catch (error) {
      if (socket === this.socket) throw error;
    }
    if (socket !== this.socket) return; // another stream, or none, is wanted by now
    socket.addEventListener("close", (event) => socket === this.socket && this.lose(event));
    socket.send(JSON.stringify(options));
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
    this.disconnect();
    const stream = /** @type {MediaStream | null} */ (this.video.srcObject);
    for (const track of stream?.getTracks() ?? []) track.stop();
    this.video.srcObject = null;
    return this.latest && { blob: this.latest, name: "webcam.jpg" };
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
      this.listener.refused(new Problem(message.title ?? "A frame was refused", message.detail ?? ""));
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

  /** @param {CloseEvent} event */
  lose({ code, reason }) {
    this.disconnect();
    const detail = reason || "The server closed the connection.";
    this.listener.lost(new Problem("The live stream ended", detail, code === REFUSED ? 400 : 503));
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

/** @param {WebSocket} socket @returns {Promise<void>} when it can be used; a Problem when it cannot */
export function opened(socket) {
  return new Promise((resolve, reject) => {
    socket.addEventListener("open", () => resolve(), { once: true });
    const refused = new Problem("The live stream cannot be opened", "The server refused it.", 503);
    socket.addEventListener("close", () => reject(refused), { once: true });
  });
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
