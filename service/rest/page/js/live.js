/**
 * The webcam's button and the controls of a video; the button stays away where there is no camera to be had.
 *
 * @import { State } from "./types.js"
 * @import { Session } from "./session.js"
 * @import { Source } from "./sources.js"
 * @import { Store } from "./store.js"
 */

import { actionButtons, byId, part } from "./dom.js";
import { Feed, LATER, liveUrl } from "./feed.js";
import { keyProtocols } from "./key.js";
import { Problem } from "./problem.js";
import { Clip, Webcam } from "./sources.js";

// Waits before a lost stream is started again: a minute in all, the most that a server takes to restart.
const AGAIN_MS = [500, 1000, 2000, 4000, 8000, 15000, 30000];

/** @param {Store<State>} store @param {Session} session */
export async function mountLive(store, session) {
  const player = new Player(session);
  store.watch(
    ({ picture }) => [picture],
    ({ picture }) => picture && player.stop(),
  );
  store.watch(
    ({ model, masks, places }) => [model, masks, places],
    () => player.connect(),
  );
  store.watch(
    ({ clip }) => [clip?.file],
    ({ clip }) => clip && player.start(new Clip(clip.file)),
  );
  mountControls(store, player, session);
  if (!(await available())) return;
  for (const button of actionButtons("camera")) {
    button.hidden = false;
    button.addEventListener("click", () => player.toggle());
  }
}

/** A source from the click that starts it to the one that stops it, whatever becomes of its streams. */
class Player {
  /** @param {Session} session */
  constructor(session) {
    this.session = session;
    /** @type {Feed | null} while it plays, or waits to be allowed to */
    this.feed = null;
    this.losses = 0; // since the last answer
    this.timer = 0; // of the next attempt
  }

  toggle() {
    if (this.feed) this.end();
    else {
      this.session.beginLive();
      this.start(new Webcam());
    }
  }

  /** @param {Source} source */
  start(source) {
    const { session } = this;
    this.stop();
    this.losses = 0;
    this.feed = new Feed(source, {
      options: () => session.beginStream(),
      answered: (frame, answer) => {
        this.losses = 0;
        session.showFrame(frame, answer);
      },
      refused: (problem) => session.fail(problem),
      lost: (problem) => this.recover(problem),
      ended: () => this.end(),
    });
    this.feed.start();
    name("Stop");
  }

  /** Begins a stream of what the source shows, with the options of now. */
  connect() {
    clearTimeout(this.timer);
    this.losses = 0;
    this.feed?.connect();
  }

  /** @param {Problem} problem after which another stream is begun, where that can help */
  recover(problem) {
    const wait = AGAIN_MS[this.losses++];
    if (problem.status !== LATER || !wait) {
      this.end();
      this.session.fail(problem);
      return;
    }
    const { title, detail, status } = problem;
    const told = new Problem(title, `${detail} This page tries again by itself.`, status);
    this.timer = setTimeout(() => this.feed?.connect(), wait);
    this.session.fail(told, () => this.connect());
  }

  /** Leaves the last frame answered as a still. */
  end() {
    this.session.endLive(this.stop());
  }

  /** @returns {ReturnType<Feed["stop"]>} the last frame answered */
  stop() {
    clearTimeout(this.timer);
    const last = this.feed?.stop() ?? null;
    this.feed = null;
    name("Webcam");
    return last;
  }
}

/** @param {Store<State>} store @param {Player} player @param {Session} session */
function mountControls(store, player, session) {
  const bar = byId("controls", HTMLElement);
  const play = byId("play", HTMLButtonElement);
  const position = byId("position", HTMLInputElement);
  const clock = byId("clock", HTMLOutputElement);
  play.addEventListener("click", () => {
    const { clip, picture } = store.get();
    if (!clip) return;
    if (picture) return session.openClip(clip.file); // its last frame: it has ended
    session.pauseClip(!clip.paused);
    const source = /** @type {Clip} */ (player.feed?.source);
    if (clip.paused) player.feed?.play();
    else source.pause();
  });
  position.addEventListener("change", () => player.feed?.seek(position.valueAsNumber));
  store.watch(
    ({ clip, live, picture }) => [clip, live, picture],
    ({ clip, live, picture }) => {
      bar.hidden = !clip;
      if (!clip) return;
      const video = player.feed?.source.video;
      const state = picture ? "Play again" : clip.paused ? "Play" : "Pause";
      play.ariaLabel = state;
      play.dataset.state = state;
      position.disabled = !live;
      if (!live || !video) return;
      position.max = String(video.duration);
      if (!position.matches(":active")) position.valueAsNumber = live.time; // the visitor is not moving it
      clock.value = `${formatTime(live.time)} of ${formatTime(video.duration)}`;
    },
  );
}

/** @param {number} seconds @returns {string} minutes and seconds */
export function formatTime(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** @param {string} text on the button above the picture */
function name(text) {
  part(byId("bar", HTMLElement), "text").textContent = text;
}

/** @returns {Promise<boolean>} whether this browser may use a camera and the server has a live endpoint */
async function available() {
  if (!navigator.mediaDevices) return false; // neither HTTPS nor localhost
  const socket = new WebSocket(liveUrl(), keyProtocols());
  const opened = await new Promise((resolve) => {
    socket.addEventListener("open", () => resolve(true));
    socket.addEventListener("close", () => resolve(false));
  });
  socket.close();
  return opened;
}
