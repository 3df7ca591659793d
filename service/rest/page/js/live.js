/**
 * The webcam's button; it stays away where there is no camera to be had.
 *
 * @import { Picture, State } from "./types.js"
 * @import { Session } from "./session.js"
 * @import { Store } from "./store.js"
 */

import { Camera, LATER, liveUrl } from "./camera.js";
import { actionButtons, byId, part } from "./dom.js";
import { keyProtocols } from "./key.js";
import { Problem } from "./problem.js";

// Waits before a lost stream is begun anew: about a minute in all, which a server takes to start again at most.
const AGAIN_MS = [500, 1000, 2000, 4000, 8000, 15000, 30000];

/** @param {Store<State>} store @param {Session} session */
export async function mountLive(store, session) {
  if (!(await available())) return;
  const webcam = new Webcam(session);
  for (const button of actionButtons("camera")) {
    button.hidden = false;
    button.addEventListener("click", () => webcam.toggle());
  }
  store.watch(
    ({ picture }) => [picture],
    ({ picture }) => picture && webcam.stop(),
  );
  store.watch(
    ({ model, masks }) => [model, masks],
    () => webcam.connect(),
  );
}

/** The camera from the click that starts it to the one that stops it, whatever becomes of its streams. */
class Webcam {
  /** @param {Session} session */
  constructor(session) {
    this.session = session;
    /** @type {Camera | null} while it films, or waits to be allowed to */
    this.camera = null;
    this.losses = 0; // since the last answer
    this.timer = 0; // of the next attempt
  }

  toggle() {
    if (this.camera) this.session.endLive(this.stop());
    else this.start();
  }

  start() {
    const { session } = this;
    session.beginLive();
    this.losses = 0;
    this.camera = new Camera({
      options: () => session.liveOptions(),
      answered: (frame, answer) => {
        this.losses = 0;
        session.showFrame(frame, answer);
      },
      refused: (problem) => session.fail(problem),
      lost: (problem) => this.recover(problem),
    });
    this.camera.start();
    name("Stop");
  }

  /** Begins a stream of what the camera films, with the options of now. */
  connect() {
    clearTimeout(this.timer);
    this.losses = 0;
    this.camera?.connect();
  }

  /** @param {Problem} problem after which another stream is begun, where that can help */
  recover(problem) {
    const wait = AGAIN_MS[this.losses++];
    if (problem.status !== LATER || !wait) {
      this.session.endLive(this.stop());
      this.session.fail(problem);
      return;
    }
    const { title, detail, status } = problem;
    const told = new Problem(title, `${detail} This page tries again by itself.`, status);
    this.timer = setTimeout(() => this.camera?.connect(), wait);
    this.session.fail(told, () => this.connect());
  }

  /** @returns {Picture | null} the last frame answered */
  stop() {
    clearTimeout(this.timer);
    const last = this.camera?.stop() ?? null;
    this.camera = null;
    name("Webcam");
    return last;
  }
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
