/**
 * Zones, lines and areas to ignore, and the same as options of a stream and of the camera program.
 *
 * @import { Model, Place, PlaceKind, Point } from "./types.js"
 */

import { currentKey } from "./key.js";
import { quote } from "./snippets.js";

const SMALLEST = 0.0005; // of the picture's area: a smaller zone was a slip
const DIGITS = 3;
const LEAST_S = 0.3; // in sight, for an object to count: a wrong answer of one or two frames does not
const GRPC_PORT = 8001; // the service's default; this page does not learn another

/**
 * The drawing after one more click: with another point, or finished.
 *
 * @param {{kind: PlaceKind, points: Point[]}} draft
 * @param {Point} point
 * @param {number} reach a click so near the first corner closes a zone, in shares of the picture's width
 * @returns {{draft: {kind: PlaceKind, points: Point[]}, done: boolean}}
 */
export function addPoint({ kind, points }, point, reach) {
  const place = /** @type {Point} */ (point.map((share) => Math.min(Math.max(share, 0), 1)));
  const first = points[0];
  const near = first && Math.hypot(place[0] - first[0], place[1] - first[1]) < reach;
  if (near) return { draft: { kind, points }, done: kind !== "line" && isPlace(kind, points) };
  const longer = [...points, place];
  return { draft: { kind, points: longer }, done: kind === "line" && longer.length === 2 };
}

/** @param {PlaceKind} kind @param {Point[]} points @returns {boolean} whether it can be watched */
export function isPlace(kind, points) {
  return kind === "line" ? points.length === 2 : areaOf(points) > SMALLEST;
}

/** @param {Point[]} points @returns {number} the area of a polygon, by the shoelace formula */
function areaOf(points) {
  const doubled = points.reduce((sum, [x, y], at) => {
    const [nextX, nextY] = points[(at + 1) % points.length];
    return sum + x * nextY - nextX * y;
  }, 0);
  return Math.abs(doubled) / 2;
}

/**
 * The places with one more, named by the first number that is free.
 *
 * @param {readonly Place[]} places
 * @param {{kind: PlaceKind, points: Point[]}} draft
 * @returns {Place[]}
 */
export function addPlace(places, { kind, points }) {
  const taken = places.map(({ name }) => name);
  const numbers = Array.from({ length: places.length + 1 }, (_, at) => `${kind} ${at + 1}`);
  const name = numbers.find((one) => !taken.includes(one)) ?? kind;
  return [...places, { kind, name, points, classes: "" }];
}

/**
 * A name as the visitor types it, or the one before where another place has it or nothing is left of it.
 *
 * @param {readonly Place[]} places
 * @param {number} at
 * @param {string} typed
 */
export function chooseName(places, at, typed) {
  const name = typed.replace(/[:=]/g, " ").trim(); // the camera program splits at these
  const taken = places.some((place, other) => other !== at && place.name === name);
  return name && !taken ? name : places[at].name;
}

/** @param {readonly Place[]} places @returns {object} the scene, as `/v1/live` takes it */
export function sceneOf(places) {
  /** @param {PlaceKind} kind */
  const ofKind = (kind) => places.filter((place) => place.kind === kind);
  return {
    zones: ofKind("zone").map((place) => ({ ...headOf(place), corners: place.points.map(roundPoint) })),
    lines: ofKind("line").map((place) => {
      const [start, end] = place.points.map(roundPoint);
      return { ...headOf(place), start, end };
    }),
    ignored: ofKind("ignored").map(({ points }) => ({ corners: points.map(roundPoint) })),
    limits: [{ min_s: LEAST_S }],
  };
}

/** @param {Place} place */
function headOf({ name, classes }) {
  const labels = splitLabels(classes);
  return labels.length ? { name, classes: labels } : { name };
}

/** @param {string} classes @returns {string[]} */
function splitLabels(classes) {
  const labels = classes.split(",").map((label) => label.trim());
  return labels.filter(Boolean);
}

/** @param {Point} point @returns {number[]} */
function roundPoint(point) {
  return point.map((share) => Number(share.toFixed(DIGITS)));
}

/**
 * The command that watches the same places with a camera of the visitor's choice.
 *
 * @param {readonly Place[]} places
 * @param {Model | null} model null: the server's default
 * @returns {string}
 */
export function cameraCommand(places, model) {
  const options = places.map((place) => {
    const points = place.points.map((point) => point.map(toPercent).join(",")).join(" ");
    if (place.kind === "ignored") return `--ignore ${quote(points)}`;
    const labels = splitLabels(place.classes).join(",");
    return `--${place.kind} ${quote(`${place.name}${labels && `:${labels}`}=${points}`)}`;
  });
  const scheme = location.protocol === "https:" ? "grpcs" : "grpc";
  const server = `--server ${scheme}://${location.hostname}:${GRPC_PORT}`;
  const chosen = model ? [`--model ${quote(model.name)}`] : [];
  const key = currentKey() ? ['--key "$KEY"'] : [];
  return [
    "blitzmask camera SOURCE",
    server,
    ...key,
    ...chosen,
    ...options,
    `--min-time ${LEAST_S}`,
    "--out events",
  ].join(" \\\n  ");
}

/** @param {number} share @returns {string} */
function toPercent(share) {
  return `${Number((100 * share).toFixed(DIGITS - 2))}%`;
}
