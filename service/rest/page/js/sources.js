/**
 * Where the frames of a stream come from: the webcam, or a video file.
 *
 * @typedef {Object} Source
 * @property {HTMLVideoElement} video
 * @property {(time: number) => string} nameStill a file name for one of its frames
 * @property {boolean} opened
 * @property {boolean} paused by the visitor
 * @property {(lost: (problem: Problem) => void) => Promise<void>} open plays; `lost` hears of a later failure
 * @property {(error: Error) => Problem} explain why `open` failed
 * @property {() => void} close for good
 * @property {() => void} play ends the visitor's pause
 * @property {() => void} wait the server is behind
 * @property {() => void} resume the server has caught up
 * @property {(now: number, mediaTime: number) => number} timeOf seconds of a frame, by the source's clock
 */

import { Problem } from "./problem.js";

// How a video's speed follows the server: a little slower each time that it is behind, and faster with each answer.
const SPEED = { slowest: 0.1, brake: 0.8, gain: 1.02 };
const WANTED = { video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "environment" } };

/** @implements {Source} */
export class Webcam {
  constructor() {
    this.video = makeVideo();
    this.paused = false;
    this.closed = false;
    /** @type {number | null} when the first frame came, in milliseconds */
    this.began = null;
  }

  get opened() {
    return this.video.srcObject !== null;
  }

  nameStill() {
    return "webcam.jpg";
  }

  /**
   * Lets go of a camera that nobody wants any more by the time that the visitor allows it.
   *
   * @param {(problem: Problem) => void} lost
   */
  async open(lost) {
    const stream = await navigator.mediaDevices.getUserMedia(WANTED);
    if (this.closed) return release(stream);
    for (const track of stream.getTracks()) track.addEventListener("ended", () => lost(unplugged()));
    this.video.srcObject = stream;
    await this.video.play();
  }

  /** @param {Error} error */
  explain({ name, message }) {
    return new Problem("The camera cannot be used", CAMERA_FAULTS[name] ?? message);
  }

  close() {
    this.closed = true;
    release(/** @type {MediaStream | null} */ (this.video.srcObject));
    this.video.srcObject = null;
  }

  /** @param {number} now milliseconds */
  timeOf(now) {
    this.began ??= now;
    return (now - this.began) / 1000;
  }

  play() {}
  wait() {} // a camera films on: frames that come while the server is behind are left out
  resume() {}
}

/** @implements {Source} */
export class Clip {
  /** @param {File} file */
  constructor(file) {
    this.file = file;
    this.video = makeVideo();
    this.opened = false;
    this.paused = false;
  }

  /** @param {number} time */
  nameStill(time) {
    return `${this.file.name} at ${time.toFixed(2)} s.jpg`;
  }

  /** @param {(problem: Problem) => void} lost */
  async open(lost) {
    this.video.src = URL.createObjectURL(this.file);
    await new Promise((resolve, reject) => {
      this.video.addEventListener("loadeddata", resolve);
      this.video.addEventListener("error", () => reject(new Error(this.video.error?.message)));
    });
    if (!this.video.videoWidth) throw new Error("it has no picture");
    this.video.addEventListener("error", () => lost(this.explain()));
    this.opened = true;
  }

  explain() {
    const detail = "This browser cannot play it. `blitzmask camera FILE` reads more kinds of videos.";
    return new Problem(`${this.file.name} cannot be played`, detail, UNSUPPORTED);
  }

  close() {
    this.opened = false;
    this.video.pause();
    URL.revokeObjectURL(this.video.src);
    this.video.removeAttribute("src");
    this.video.load(); // lets go of the decoder
  }

  pause() {
    this.paused = true;
    this.video.pause();
  }

  play() {
    this.paused = false;
    this.resume();
  }

  /** Stands still until the server has caught up, and then plays slower, so that hardly a frame is left out. */
  wait() {
    this.video.playbackRate = Math.max(SPEED.slowest, this.video.playbackRate * SPEED.brake);
    this.video.pause();
  }

  resume() {
    this.video.playbackRate = Math.min(1, this.video.playbackRate * SPEED.gain);
    if (!this.opened || this.paused || this.video.ended) return;
    this.video.play().catch(() => {}); // another pause came before it played
  }

  /** @param {number} now @param {number} mediaTime */
  timeOf(now, mediaTime) {
    return mediaTime;
  }
}

/** @type {Record<string, string>} */
const CAMERA_FAULTS = {
  NotAllowedError: "Allow this page to use the camera in the browser's settings.",
  NotFoundError: "No camera is connected.",
};
const UNSUPPORTED = 415; // as by HTTP: asking again does not help

/** @returns {HTMLVideoElement} */
function makeVideo() {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  return video;
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
