/**
 * Masks as outlines, which the canvas fills and strokes crisply at any resolution.
 *
 * @import { Polygon, Ring, Rle, RleCrop } from "./types.js"
 * @import { Span } from "./rle.js"
 */

import { maskSpans } from "./rle.js";

const OUTSIDE = 0;
const INSIDE = 1;
const UNTRACED = 2; // inside, below an edge that no ring has passed yet

// Headings in the order of a right turn: right, down, left, up (y grows downwards).
const STEPS = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
];
// From a corner, the pixels ahead on either hand, as offsets of their top-left corners.
const AHEAD_RIGHT = [
  [0, 0],
  [-1, 0],
  [-1, -1],
  [0, -1],
];
const AHEAD_LEFT = [
  [0, -1],
  [0, 0],
  [-1, 0],
  [-1, -1],
];

/**
 * The rings around a mask in whichever form it came.
 *
 * @param {Rle | RleCrop | Polygon} mask
 * @returns {Ring[]}
 */
export function maskRings(mask) {
  return "rings" in mask ? mask.rings.map(pairUp) : traceRings(maskSpans(mask));
}

/** @param {number[]} corners x, y, x, y, ... @returns {Ring} */
function pairUp(corners) {
  return Array.from({ length: corners.length / 2 }, (_, at) => [corners[2 * at], corners[2 * at + 1]]);
}

/**
 * The rings around a mask, outer ones and holes, along its pixels' edges with the mask on the right.
 *
 * Every ring runs rightwards somewhere, along the top of a pixel that starts a span: so looking at the
 * spans' starts finds all rings, and the cost is that of the perimeter.
 *
 * @param {readonly Span[]} spans
 * @returns {Ring[]}
 */
export function traceRings(spans) {
  if (!spans.length) return [];
  const grid = paintSpans(spans);
  return spans.flatMap(({ x, top }) => (grid.at(x, top) === UNTRACED ? [followRing(grid, x, top)] : []));
}

/**
 * The ring with its corners cut, by at most `reach` pixels along either side.
 *
 * With a reach below one pixel the line never passes a pixel's centre, so the outline loses its staircase
 * and still holds exactly the mask's pixels.
 *
 * @param {Ring} ring
 * @param {number} [reach]
 * @returns {Ring}
 */
export function cutCorners(ring, reach = 0.9) {
  /** @type {Ring} */
  const cut = [];
  for (let index = 0; index < ring.length; index++) {
    const corner = ring[index];
    cut.push(stepTowards(corner, ring[(index || ring.length) - 1], reach));
    cut.push(stepTowards(corner, ring[(index + 1) % ring.length], reach));
  }
  return cut;
}

/**
 * @param {Ring[number]} from
 * @param {Ring[number]} to on the same row or column
 * @param {number} reach
 * @returns {Ring[number]} a point on the way, at most half of it
 */
function stepTowards([x, y], [toX, toY], reach) {
  const length = Math.abs(toX - x) + Math.abs(toY - y);
  const share = Math.min(reach / length, 0.5);
  return [x + (toX - x) * share, y + (toY - y) * share];
}

class Grid {
  /** @param {{left: number, top: number, right: number, bottom: number}} bounds */
  constructor({ left, top, right, bottom }) {
    // One cell of margin all around, so that looking past the border finds the outside.
    this.left = left - 1;
    this.top = top - 1;
    this.rows = bottom - top + 2;
    this.cells = new Uint8Array((right - left + 2) * this.rows);
  }

  /** @param {number} x @param {number} y */
  at(x, y) {
    return this.cells[(x - this.left) * this.rows + y - this.top];
  }

  /** @param {number} x @param {number} y @param {number} value */
  put(x, y, value) {
    this.cells[(x - this.left) * this.rows + y - this.top] = value;
  }
}

/** @param {readonly Span[]} spans @returns {Grid} */
function paintSpans(spans) {
  const grid = new Grid({
    left: spans[0].x,
    top: spans.reduce((least, { top }) => Math.min(least, top), Infinity),
    right: spans[spans.length - 1].x + 1,
    bottom: spans.reduce((most, { bottom }) => Math.max(most, bottom), 0),
  });
  for (const { x, top, bottom } of spans) {
    for (let y = top; y < bottom; y++) grid.put(x, y, INSIDE);
    if (grid.at(x, top - 1) === OUTSIDE) grid.put(x, top, UNTRACED);
  }
  return grid;
}

/** @param {Grid} grid @param {number} left @param {number} top @returns {Ring} */
function followRing(grid, left, top) {
  /** @type {Ring} */
  const ring = [];
  let [x, y, heading] = [left, top, 0];
  do {
    if (heading === 0) grid.put(x, y, INSIDE);
    x += STEPS[heading][0];
    y += STEPS[heading][1];
    const turn = turnAt(grid, x, y, heading);
    if (turn) ring.push([x, y]);
    heading = (heading + turn) % 4;
  } while (x !== left || y !== top || heading !== 0);
  return ring;
}

/** @param {Grid} grid @param {number} x @param {number} y @param {number} heading */
function turnAt(grid, x, y, heading) {
  const [rightX, rightY] = AHEAD_RIGHT[heading];
  if (grid.at(x + rightX, y + rightY) === OUTSIDE) return 1;
  const [leftX, leftY] = AHEAD_LEFT[heading];
  return grid.at(x + leftX, y + leftY) === OUTSIDE ? 0 : 3;
}
