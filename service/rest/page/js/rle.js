/**
 * COCO's compressed run lengths, decoded.
 *
 * @import { Rle, RleCrop } from "./types.js"
 */

/**
 * A stretch of pixels of one mask within one column: rows `top` (included) to `bottom` (excluded).
 *
 * @typedef {{x: number, top: number, bottom: number}} Span
 */

/**
 * The run lengths behind a counts string, alternating outside and inside, outside first.
 *
 * Six-bit characters from "0" on: five bits of payload, the sixth says that more follow, the fifth of the
 * last is the sign. From the fourth run on, each is the difference to the run two before it.
 *
 * @param {string} counts
 * @returns {number[]}
 */
export function decodeCounts(counts) {
  /** @type {number[]} */
  const runs = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0;
    let shift = 0;
    let bits;
    do {
      bits = counts.charCodeAt(at++) - 48;
      value |= (bits & 0x1f) << shift;
      shift += 5;
    } while (bits & 0x20);
    if (bits & 0x10) value |= -1 << shift;
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}

/**
 * The inside runs in the image, cut where they pass from one column to the next; columns ascend.
 *
 * @param {Rle | RleCrop} rle
 * @returns {Span[]}
 */
export function maskSpans(rle) {
  const { size: [height], counts } = rle;
  const [left, above] = "offset" in rle ? rle.offset : [0, 0];
  const spans = [];
  let start = 0;
  for (const [index, length] of decodeCounts(counts).entries()) {
    const end = start + length;
    while (index % 2 && start < end) {
      const x = Math.floor(start / height);
      const stop = Math.min(end, (x + 1) * height);
      const first = x * height - above;
      spans.push({ x: left + x, top: start - first, bottom: stop - first });
      start = stop;
    }
    start = end;
  }
  return spans;
}
