/**
 * The webcam's button; it stays away where there is no camera to be had.
 *
 * @import { Problem } from "./api.js"
 * @import { State } from "./types.js"
 * @import { Session } from "./session.js"
 * @import { Store } from "./store.js"
 */

import { Camera, liveUrl, opened } from "./camera.js";
import { actionButtons, byId, part } from "./dom.js";
import { keyProtocols } from "./key.js";

const QUIET_MS = 300; // without a move of the slider, before the stream is begun anew
const LATER = 503; // as by HTTP: asking again may help
// Waits before a lost stream is begun anew: about a minute in all, which a server takes to start again at most.
const AGAIN_MS = [500, 1000, 2000, 4000, 8000, 15000, 30000];

/** @param {Store<State>} store @param {Session} session */
export async function mountLive(store, session) {
  if (!(await available())) return;
  /** @type {Camera | null} */
  let camera = null;
  let losses = 0; // since the last answer

  const halt = () => {
    const last = camera?.stop() ?? null;
    camera = null;
    name("Webcam");
    return last;
  };
  /** @param {unknown} error */
  const give = (error) => {
    session.endLive(halt());
    session.fail(error);
  };
  /** @param {Problem} problem of the stream, which is begun anew if that can help */
  const recover = (problem) => {
    if (problem.status !== LATER || losses >= AGAIN_MS.length) return give(problem);
    const lost = camera;
    session.fail(problem);
    setTimeout(() => {
      if (camera && camera === lost) camera.connect(session.liveOptions()).catch(recover);
    }, AGAIN_MS[losses++]);
  };
  const start = () => {
    losses = 0;
    session.beginLive();
    camera = new Camera({
      answered: (frame, answer) => {
        losses = 0;
        session.showFrame(frame, answer);
      },
      refused: (problem) => session.fail(problem),
      lost: recover,
    });
    name("Stop");
    camera.start(session.liveOptions()).catch(give);
  };
  const reconnect = debounce(() => camera?.connect(session.liveOptions()).catch(give));

  for (const button of actionButtons("camera")) {
    button.hidden = false;
    button.addEventListener("click", () => (camera ? session.endLive(halt()) : start()));
  }
  store.watch(
    ({ picture }) => [picture],
    ({ picture }) => picture && halt(),
  );
  store.watch(
    ({ model, masks, threshold }) => [model, masks, threshold],
    () => camera && reconnect(),
  );
}

/** @param {() => void} act @returns {() => void} acts once, when it has not been called for a moment */
function debounce(act) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, QUIET_MS);
  };
}

/** @param {string} text on the button above the picture */
function name(text) {
  part(byId("bar", HTMLElement), "text").textContent = text;
}

/** @returns {Promise<boolean>} whether this browser may use a camera and the server has a live endpoint */
async function available() {
  if (!navigator.mediaDevices) return false; // neither HTTPS nor localhost
  const socket = new WebSocket(liveUrl(), keyProtocols());
  try {
    await opened(socket);
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}
