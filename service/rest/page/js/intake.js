/**
 * Where pictures and videos come from: the file dialog, a drop anywhere on the page, the clipboard, the sample.
 *
 * @import { Session } from "./session.js"
 */

import { actionButtons, byId } from "./dom.js";
import { Problem } from "./problem.js";

const SAMPLE = { path: "page/samples/astronaut.jpg", name: "astronaut.jpg" };

/** @param {Session} session */
export function mountIntake(session) {
  const file = byId("file", HTMLInputElement);
  for (const button of actionButtons("open")) {
    button.addEventListener("click", () => file.click());
  }
  for (const button of actionButtons("sample")) {
    button.addEventListener("click", () => session.openFile(SAMPLE.path, SAMPLE.name));
  }
  file.addEventListener("change", () => {
    openFirst(file.files, session);
    file.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", (event) =>
    openFirst(event.clipboardData?.files, session, { made: true }),
  );
  acceptDrops(session);
  byId("retry", HTMLButtonElement).addEventListener("click", () => session.retry());
}

/** @param {Session} session */
function acceptDrops(session) {
  const page = document.documentElement;
  /** @param {DragEvent} event */
  const carriesFile = (event) => event.dataTransfer?.types.includes("Files") ?? false;
  document.addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    page.dataset.dragging = "";
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) delete page.dataset.dragging;
  });
  document.addEventListener("drop", (event) => {
    delete page.dataset.dragging;
    if (!carriesFile(event)) return;
    event.preventDefault();
    openFirst(event.dataTransfer?.files, session);
  });
}

/**
 * @param {FileList | null | undefined} files
 * @param {Session} session
 * @param {{made?: boolean}} [origin] made: whether the visitor has no such file
 */
function openFirst(files, session, { made = false } = {}) {
  const file = files?.[0];
  if (!file) return;
  location.hash = "#segment";
  // No type: an image that this system does not know, perhaps; the server will.
  if (file.type.startsWith("video/")) {
    session.openClip(file);
  } else if (file.type && !file.type.startsWith("image/")) {
    session.fail(new Problem(`${file.name} is neither a picture nor a video`, `It is of type ${file.type}.`));
  } else {
    session.open({ blob: file, name: file.name || "pasted.png", made });
  }
}
