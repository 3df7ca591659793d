/**
 * Colours that stay apart from each other and from most photos; neighbours in the list differ most.
 *
 * @import { Answer } from "./types.js"
 *
 * @typedef {{line: string, text: string}} Colour `text` is readable on `line`
 */

const INK = "#0b0f14";
const PAPER = "#ffffff";

/** @type {readonly Colour[]} */
const COLOURS = [
  { line: "#1f9bf0", text: INK },
  { line: "#f5a524", text: INK },
  { line: "#22b573", text: INK },
  { line: "#f0524b", text: INK },
  { line: "#1cc6d9", text: INK },
  { line: "#e45fb4", text: INK },
  { line: "#a4c52c", text: INK },
  { line: "#ff7a3d", text: INK },
  { line: "#5b6ee8", text: PAPER },
  { line: "#e6d21f", text: INK },
];

/** @type {Colour} */
const NOBODYS = { line: "#a9b4be", text: INK };

/**
 * The colour of an instance's place in the answer, in a stream that of its identity, so that no other has it.
 *
 * @param {Answer} answer
 * @param {number} index
 * @returns {Colour}
 */
export function colourOf({ frame_id, instances }, index) {
  const number = frame_id === undefined ? index : instances[index].track_id;
  return number === undefined ? NOBODYS : COLOURS[number % COLOURS.length];
}
