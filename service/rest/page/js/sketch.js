/**
 * Zones and lines over the picture, and the pointer that draws them.
 *
 * @import { Place, PlaceKind, Point, State } from "./types.js"
 * @import { Session } from "./session.js"
 * @import { Store } from "./store.js"
 */

import { byId } from "./dom.js";
import { addPlace, addPoint, isPlace } from "./places.js";
import { keepCrisp } from "./stage.js";

const EDGE = "#ffffff";
const SHADE = "rgb(8 12 16 / 70%)"; // behind the edge, so that it is seen on any picture
const FILLS = {
  zone: "rgb(255 255 255 / 12%)",
  occupied: "rgb(255 214 10 / 30%)",
  ignored: "rgb(8 12 16 / 45%)",
};
const FONT = '600 12px -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const ARROW = 16; // CSS pixels
const DOT = 5;
const REACH = { mouse: 12, finger: 24 }; // CSS pixels around the first corner that close a zone

/** @param {Store<State>} store @param {Session} session */
export function mountSketch(store, session) {
  const canvas = byId("sketch", HTMLCanvasElement);
  /** @type {Point | null} */
  let pointer = null;
  const redraw = () => drawAll(canvas, store.get(), pointer);
  keepCrisp(canvas, redraw);
  store.watch(({ places, draft, counts }) => [places, draft, counts], redraw);
  store.watch(
    ({ draft }) => [draft === null],
    ({ draft }) => {
      pointer = null;
      canvas.classList.toggle("drawing", draft !== null);
    },
  );
  canvas.addEventListener("pointermove", (event) => {
    pointer = pointAt(event, canvas);
    redraw();
  });
  canvas.addEventListener("click", (event) => {
    const { draft, places } = store.get();
    if (!draft) return;
    const finger = matchMedia("(pointer: coarse)").matches;
    const reach = (finger ? REACH.finger : REACH.mouse) / canvas.clientWidth;
    const next = addPoint(draft, pointAt(event, canvas), reach);
    if (next.done) session.setPlaces(addPlace(places, next.draft));
    else store.set({ draft: next.draft });
  });
  document.addEventListener("keydown", (event) => {
    if (!store.get().draft || event.target instanceof HTMLInputElement) return;
    if (event.key === "Escape") store.set({ draft: null });
    if (event.key !== "Enter") return;
    event.preventDefault(); // the tool's button, which has the focus, would begin another drawing
    finishDraft(store, session);
  });
}

/**
 * Keeps what is drawn, where it makes a place; drops it otherwise.
 *
 * @param {Store<State>} store
 * @param {Session} session
 */
export function finishDraft(store, session) {
  const { draft, places } = store.get();
  if (draft && isPlace(draft.kind, draft.points)) session.setPlaces(addPlace(places, draft));
  else store.set({ draft: null });
}

/** @param {MouseEvent} event @param {HTMLCanvasElement} canvas @returns {Point} */
function pointAt(event, canvas) {
  return [event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight];
}

/** @param {HTMLCanvasElement} canvas @param {State} state @param {Point | null} pointer */
function drawAll(canvas, { places, draft, counts }, pointer) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const sketch = new Sketch(canvas, context);
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (const place of places) {
    const occupied = Object.keys(counts?.zones?.[place.name]?.present ?? {}).length > 0;
    sketch.drawPlace(place, occupied);
  }
  if (draft) sketch.drawDraft(draft, pointer);
}

class Sketch {
  /** @param {HTMLCanvasElement} canvas @param {CanvasRenderingContext2D} context */
  constructor(canvas, context) {
    this.canvas = canvas;
    this.context = context;
    this.unit = canvas.width / (canvas.clientWidth || 1); // device pixels per CSS pixel
    context.font = FONT.replace("12", String(12 * this.unit));
    context.textBaseline = "middle";
    context.lineJoin = "round";
  }

  /** @param {Place} place @param {boolean} occupied */
  drawPlace({ kind, name, points }, occupied) {
    const { context } = this;
    const path = this.outline(points, kind !== "line");
    if (kind !== "line") {
      context.fillStyle = kind === "ignored" ? FILLS.ignored : occupied ? FILLS.occupied : FILLS.zone;
      context.fill(path);
    }
    this.stroke(path, kind === "ignored");
    if (kind === "line") this.drawArrow(points);
    if (kind !== "ignored") this.drawName(name, points);
  }

  /** @param {{kind: PlaceKind, points: Point[]}} draft @param {Point | null} pointer */
  drawDraft({ kind, points }, pointer) {
    const { context, unit } = this;
    const all = pointer && points.length ? [...points, pointer] : points;
    this.stroke(this.outline(all, false), true);
    for (const [at, point] of points.entries()) {
      const [x, y] = this.place(point);
      const closes = at === 0 && isPlace(kind, points) && kind !== "line";
      context.beginPath();
      context.arc(x, y, (closes ? 1.6 : 1) * DOT * unit, 0, 2 * Math.PI);
      context.fillStyle = EDGE;
      context.fill();
      this.stroke(null, false);
    }
  }

  /** @param {Point} point @returns {Point} device pixels */
  place([x, y]) {
    return [x * this.canvas.width, y * this.canvas.height];
  }

  /** @param {Point[]} points @param {boolean} closed */
  outline(points, closed) {
    const path = new Path2D();
    for (const point of points) path.lineTo(...this.place(point));
    if (closed) path.closePath();
    return path;
  }

  /** @param {Path2D | null} path null: the context's own @param {boolean} dashed */
  stroke(path, dashed) {
    const { context, unit } = this;
    for (const [style, width] of /** @type {[string, number][]} */ ([
      [SHADE, 4],
      [EDGE, 2],
    ])) {
      context.strokeStyle = style;
      context.lineWidth = width * unit;
      context.setLineDash(dashed && style === EDGE ? [6 * unit, 5 * unit] : []);
      if (path) context.stroke(path);
      else if (style === EDGE) continue;
      else context.stroke();
    }
  }

  /**
   * An arrow across the middle of a line, to the side that counts as "in".
   *
   * @param {Point[]} points
   */
  drawArrow(points) {
    const [[startX, startY], [endX, endY]] = points.map((point) => this.place(point));
    const length = Math.hypot(endX - startX, endY - startY) || 1;
    const reach = (ARROW * this.unit) / length;
    const [alongX, alongY] = [(endX - startX) * reach, (endY - startY) * reach];
    const [x, y] = [(startX + endX) / 2, (startY + endY) / 2];
    const [tipX, tipY] = [x - alongY, y + alongX]; // a right turn, as y grows downwards
    const path = new Path2D();
    path.moveTo(x, y);
    path.lineTo(tipX, tipY);
    path.moveTo(tipX + (alongY - alongX) * 0.4, tipY - (alongX + alongY) * 0.4);
    path.lineTo(tipX, tipY);
    path.lineTo(tipX + (alongY + alongX) * 0.4, tipY - (alongX - alongY) * 0.4);
    this.stroke(path, false);
  }

  /** @param {string} name @param {Point[]} points */
  drawName(name, points) {
    const { context, unit } = this;
    const [x, y] = this.place(points.reduce((top, point) => (point[1] < top[1] ? point : top)));
    const [width, height] = [context.measureText(name).width + 12 * unit, 19 * unit];
    const left = Math.min(Math.max(x - width / 2, 0), this.canvas.width - width);
    const top = Math.min(Math.max(y - height / 2, 0), this.canvas.height - height);
    context.fillStyle = SHADE;
    context.beginPath();
    context.roundRect(left, top, width, height, 3 * unit);
    context.fill();
    context.fillStyle = EDGE;
    context.fillText(name, left + 6 * unit, top + height / 2 + 0.5 * unit);
  }
}
