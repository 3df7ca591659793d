/** A small line of values over time, as the `d` of two paths in a box of 120 by 32. */

const WIDTH = 120;
const HEIGHT = 32;
const MARGIN = 2;

/**
 * @param {readonly number[]} values oldest first; those that are not known leave no trace
 * @returns {{line: string, area: string}}
 */
export function sparkline(values) {
  const known = values.map((value) => (Number.isFinite(value) ? value : 0));
  if (known.length < 2) return { line: "", area: "" };
  const highest = Math.max(...known, Number.MIN_VALUE);
  const points = known.map((value, index) => {
    const x = (index / (known.length - 1)) * WIDTH;
    const y = HEIGHT - MARGIN - (value / highest) * (HEIGHT - 2 * MARGIN);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  const line = `M${points.join("L")}`;
  return { line, area: `${line}L${WIDTH},${HEIGHT}L0,${HEIGHT}Z` };
}
