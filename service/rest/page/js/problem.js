/**
 * What went wrong, in words for the visitor.
 *
 * @import { Picture } from "./types.js"
 */

const PASSING = [0, 401, 408, 429]; // of the client's errors, and no answer at all

/** Something other than the answer hoped for; `detail` says what to do about it. */
export class Problem extends Error {
  /**
   * @param {string} title
   * @param {string} detail
   * @param {number} [status] of HTTP; 0: no answer at all
   * @param {string} [kind] the server's name for it
   */
  constructor(title, detail, status = 0, kind = "") {
    super(`${title}: ${detail}`);
    this.title = title;
    this.detail = detail;
    this.status = status;
    this.kind = kind;
  }

  /** Whether the same request may be answered another time. */
  get passing() {
    return this.status >= 500 || PASSING.includes(this.status);
  }
}

/**
 * What an error means to whoever chose the picture.
 *
 * @param {unknown} error
 * @param {Picture} picture
 * @returns {unknown} the error itself where it is none of the picture's
 */
export function blamePicture(error, { blob, name }) {
  if (!(error instanceof Problem)) return error;
  const { status, kind } = error;
  switch (kind) {
    case "ImageTooLarge": {
      const size = `${(blob.size / 1e6).toFixed(1)} MB`;
      const detail = `${size} are too many bytes for this server, or it has too many pixels. Try a smaller copy.`;
      return new Problem(`${name} is too large`, detail, status, kind);
    }
    case "InvalidImage":
    case "UnsupportedMedia": {
      const detail =
        "It is empty, damaged, or of a kind that this server does not know. JPEG and PNG will do.";
      return new Problem(`${name} cannot be read`, detail, status, kind);
    }
    default:
      return error;
  }
}

/** @param {string} text of the server, which begins small and has no full stop @returns {string} */
export function sentence(text) {
  return text && `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
