/**
 * Where the labels go: near their boxes, inside the picture, never on each other.
 *
 * @typedef {{x: number, y: number, width: number, height: number}} Rect
 */

/**
 * The place of each label, or null where there is none left; earlier labels choose first.
 *
 * @param {readonly {box: Rect, width: number, height: number}[]} labels
 * @param {{width: number, height: number}} bounds
 * @returns {(Rect | null)[]}
 */
export function placeLabels(labels, bounds) {
  /** @type {Rect[]} */
  const taken = [];
  return labels.map((label) => {
    const free = candidates(label)
      .map((rect) => keepInside(rect, bounds))
      .find((rect) => !taken.some((other) => overlap(rect, other)));
    if (free) taken.push(free);
    return free ?? null;
  });
}

/** @param {{box: Rect, width: number, height: number}} label @returns {Rect[]} best first */
function candidates({ box, width, height }) {
  const right = box.x + box.width - width;
  const bottom = box.y + box.height;
  return [
    { x: box.x, y: box.y - height, width, height },
    { x: box.x, y: box.y, width, height },
    { x: right, y: box.y - height, width, height },
    { x: box.x, y: bottom, width, height },
    { x: box.x, y: bottom - height, width, height },
    { x: right, y: bottom, width, height },
  ];
}

/** @param {Rect} rect @param {{width: number, height: number}} bounds @returns {Rect} */
function keepInside(rect, bounds) {
  return {
    ...rect,
    x: Math.max(0, Math.min(rect.x, bounds.width - rect.width)),
    y: Math.max(0, Math.min(rect.y, bounds.height - rect.height)),
  };
}

/** @param {Rect} first @param {Rect} second */
function overlap(first, second) {
  return (
    first.x < second.x + second.width &&
    second.x < first.x + first.width &&
    first.y < second.y + second.height &&
    second.y < first.y + first.height
  );
}
