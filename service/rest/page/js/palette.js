/**
 * Colours that stay apart from each other and from most photos; neighbours in the list differ most.
 *
 * @import { Instance } from "./types.js"
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

/**
 * An instance keeps its identity's colour where it has one, else that of its place in the answer.
 *
 * @param {number} index
 * @param {Instance} instance
 * @returns {Colour}
 */
export function colourOf(index, { track_id }) {
  return COLOURS[(track_id ?? index) % COLOURS.length];
}
