/**
 * Masks, boxes and labels over the picture, at the resolution of the screen.
 *
 * @import { Answer, Instance, State } from "./types.js"
 * @import { Rect } from "./labels.js"
 * @import { Colour } from "./palette.js"
 */

import { placeLabels } from "./labels.js";
import { cutCorners, maskRings } from "./outline.js";
import { colourOf } from "./palette.js";
import { highlighted, instanceName, visibleInstances } from "./state.js";

const MASK_ALPHA = 0.42;
const BOX_ALPHA = 0.9;
const QUIET_ALPHA = 0.22; // of the others, while one is highlighted
// Where many objects are small, a label may not hide more than the object it names.
const CROWD = 8;
const NARROW = 480; // CSS pixels of picture below which labels are smaller
const VEIL = "rgb(8 12 16 / 45%)";
const FONT = '600 12px -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

/** @typedef {{index: number, instance: Instance}} Shown */

export class Overlay {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** @type {WeakMap<Instance, Path2D>} */
    this.paths = new WeakMap();
  }

  /** @param {State} state */
  draw(state) {
    const { context, canvas } = this;
    context.resetTransform();
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!state.answer) return;
    const shown = visibleInstances(state);
    const active = highlighted(state);
    const focus = shown.find(({ index }) => index === active);
    // The best score is drawn last, on top; the highlighted one above all.
    const order = shown.filter((one) => one !== focus).reverse();
    if (state.layers.masks) for (const one of order) this.drawMask(one, state.answer, !focus);
    if (focus) {
      this.drawFocus(focus, state.answer, state.layers);
      this.drawLabels([focus], state.answer);
      return;
    }
    if (state.layers.boxes) for (const one of order) this.drawBox(one, state.answer);
    if (state.layers.labels) this.drawLabels(shown, state.answer);
  }

  /**
   * The instance under a point, the smallest where several overlap.
   *
   * @param {State} state
   * @param {{x: number, y: number}} point in shares of the picture's width and height
   * @returns {number | null}
   */
  find(state, point) {
    const { answer } = state;
    if (!answer) return null;
    this.context.resetTransform();
    const [x, y] = [point.x * answer.image.width, point.y * answer.image.height];
    const hits = visibleInstances(state).filter(({ instance }) =>
      this.context.isPointInPath(this.pathOf(instance), x, y, "evenodd"),
    );
    hits.sort((first, second) => boxArea(first.instance) - boxArea(second.instance));
    return hits[0]?.index ?? null;
  }

  /** @param {Instance} instance @returns {Path2D} the mask, or the box where there is none; image frame */
  pathOf(instance) {
    const path = this.paths.get(instance) ?? instancePath(instance);
    this.paths.set(instance, path);
    return path;
  }

  /** Device pixels per CSS pixel, as the canvas has them. */
  get density() {
    return this.canvas.width / this.canvas.clientWidth;
  }

  /** @param {Answer} answer @returns {{x: number, y: number}} device pixels per image pixel */
  scale({ image }) {
    return { x: this.canvas.width / image.width, y: this.canvas.height / image.height };
  }

  /** @param {Shown} shown @param {Answer} answer @param {boolean} loud */
  drawMask({ index, instance }, answer, loud) {
    if (!instance.segmentation) return;
    const { context } = this;
    const path = this.enterImage(instance, answer);
    context.fillStyle = context.strokeStyle = colourOf(answer, index).line;
    context.globalAlpha = loud ? MASK_ALPHA : QUIET_ALPHA;
    context.fill(path, "evenodd");
    context.globalAlpha = loud ? 1 : QUIET_ALPHA;
    context.stroke(path);
    context.restore();
  }

  /** @param {Shown} shown @param {Answer} answer @param {State["layers"]} layers */
  drawFocus({ index, instance }, answer, { masks }) {
    const { context } = this;
    const path = this.enterImage(instance, answer);
    const outside = new Path2D();
    outside.rect(0, 0, answer.image.width, answer.image.height);
    outside.addPath(path);
    context.fillStyle = VEIL;
    context.fill(outside, "evenodd");
    // What the others have left inside would tint it.
    context.globalCompositeOperation = "destination-out";
    context.fillStyle = "#000";
    context.fill(path, "evenodd");
    context.globalCompositeOperation = "source-over";
    context.fillStyle = context.strokeStyle = colourOf(answer, index).line;
    context.globalAlpha = MASK_ALPHA;
    if (masks && instance.segmentation) context.fill(path, "evenodd");
    context.globalAlpha = 1;
    context.lineWidth *= 1.5;
    context.stroke(path);
    context.restore();
  }

  /** @param {Instance} instance @param {Answer} answer @returns {Path2D} to be drawn until `restore` */
  enterImage(instance, answer) {
    const { x, y } = this.scale(answer);
    this.context.save();
    this.context.setTransform(x, 0, 0, y, 0, 0);
    this.context.lineWidth = (1.5 * this.density) / x;
    this.context.lineJoin = "round";
    return this.pathOf(instance);
  }

  /** @param {Shown} shown @param {Answer} answer */
  drawBox({ index, instance }, answer) {
    const { context } = this;
    const { x, y, width, height } = this.boxOnScreen(instance, answer);
    const line = Math.max(1, Math.round(this.density));
    context.save();
    context.globalAlpha = BOX_ALPHA;
    context.strokeStyle = colourOf(answer, index).line;
    context.lineWidth = line;
    // A line of whole pixels between whole pixels is a sharp one; it lies inside the box.
    context.strokeRect(x + line / 2, y + line / 2, Math.max(0, width - line), Math.max(0, height - line));
    context.restore();
  }

  /** @param {Instance} instance @param {Answer} answer @returns {Rect} whole device pixels */
  boxOnScreen({ bbox: [x, y, width, height] }, answer) {
    const scale = this.scale(answer);
    const [left, top] = [Math.round(x * scale.x), Math.round(y * scale.y)];
    return {
      x: left,
      y: top,
      width: Math.round((x + width) * scale.x) - left,
      height: Math.round((y + height) * scale.y) - top,
    };
  }

  /** @param {Shown[]} shown @param {Answer} answer */
  drawLabels(shown, answer) {
    const { context, canvas } = this;
    const unit = this.density * (canvas.clientWidth < NARROW ? 0.85 : 1);
    context.save();
    context.font = FONT.replace("12", String(12 * unit));
    context.textBaseline = "middle";
    const labels = shown.map((one) => this.measureLabel(one, answer, unit));
    const crowded = shown.length > CROWD;
    const named = labels.filter(
      ({ box, width, height }) => !crowded || box.width * box.height > width * height,
    );
    for (const [at, rect] of placeLabels(named, canvas).entries()) {
      if (rect) this.drawLabel(named[at], rect, unit);
    }
    context.restore();
  }

  /** @param {Shown} shown @param {Answer} answer @param {number} unit device pixels per pixel of the design */
  measureLabel({ index, instance }, answer, unit) {
    const text = `${instanceName(instance)}  ${instance.score.toFixed(2)}`;
    return {
      text,
      colour: colourOf(answer, index),
      box: this.boxOnScreen(instance, answer),
      width: Math.ceil(this.context.measureText(text).width + 12 * unit),
      height: Math.round(19 * unit),
    };
  }

  /** @param {{text: string, colour: Colour}} label @param {Rect} rect @param {number} unit */
  drawLabel({ text, colour }, { x, y, width, height }, unit) {
    const { context } = this;
    context.fillStyle = colour.line;
    context.beginPath();
    context.roundRect(x, y, width, height, 3 * unit);
    context.fill();
    context.fillStyle = colour.text;
    context.fillText(text, x + 6 * unit, y + height / 2 + 0.5 * unit);
  }
}

/** @param {Instance} instance @returns {Path2D} */
function instancePath({ segmentation, bbox }) {
  const path = new Path2D();
  if (!segmentation) path.rect(...bbox);
  for (const ring of segmentation ? maskRings(segmentation) : []) {
    const [first, ...rest] = cutCorners(ring);
    path.moveTo(...first);
    for (const point of rest) path.lineTo(...point);
    path.closePath();
  }
  return path;
}

/** @param {Instance} instance */
function boxArea({ bbox: [, , width, height] }) {
  return width * height;
}
