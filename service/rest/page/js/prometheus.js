/**
 * Prometheus' text format, as far as the status view needs it.
 *
 * @typedef {{name: string, labels: Record<string, string>, value: number}} Sample
 */

const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** @param {string} text @returns {Sample[]} */
export function parseMetrics(text) {
  return text.split("\n").flatMap((line) => {
    const [, name, labels = "", value] = line.match(LINE) ?? [];
    return name ? [{ name, labels: parseLabels(labels), value: parseValue(value) }] : [];
  });
}

/** @param {string} text @returns {Record<string, string>} */
function parseLabels(text) {
  return Object.fromEntries([...text.matchAll(LABEL)].map(([, name, value]) => [name, unquote(value)]));
}

/** @param {string} value */
function unquote(value) {
  return value.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));
}

/** @param {string} text */
function parseValue(text) {
  return Number(text.replace(/^([+-]?)Inf$/, "$1Infinity"));
}

/**
 * What the counters and histograms gained between two scrapes.
 *
 * @param {readonly Sample[]} now
 * @param {readonly Sample[]} before
 * @returns {Sample[]}
 */
export function gained(now, before) {
  const values = new Map(before.map((sample) => [identity(sample), sample.value]));
  return now.map((sample) => ({ ...sample, value: sample.value - (values.get(identity(sample)) ?? 0) }));
}

/** @param {Sample} sample */
function identity({ name, labels }) {
  return JSON.stringify([name, labels]);
}

/**
 * The sum over the samples of a name that carry the labels given; NaN where there are none.
 *
 * @param {readonly Sample[]} samples
 * @param {string} name
 * @param {Record<string, string>} [labels]
 * @returns {number}
 */
export function total(samples, name, labels = {}) {
  const found = samples.filter((sample) => sample.name === name && carries(sample, labels));
  return found.length ? found.reduce((sum, { value }) => sum + value, 0) : NaN;
}

/** @param {Sample} sample @param {Record<string, string>} labels */
function carries(sample, labels) {
  return Object.entries(labels).every(([key, value]) => sample.labels[key] === value);
}

/**
 * The value below which the share `q` of a histogram's observations lies, linear within a bucket as in
 * Prometheus' histogram_quantile; NaN without observations.
 *
 * @param {number} q
 * @param {readonly Sample[]} samples
 * @param {string} name
 * @returns {number}
 */
export function quantile(q, samples, name) {
  const buckets = bucketCounts(samples, `${name}_bucket`);
  const rank = q * (buckets.at(-1)?.count ?? 0);
  const at = buckets.findIndex(({ count }) => count > 0 && count >= rank);
  if (at < 0) return NaN;
  const { bound: low, count: below } = buckets[at - 1] ?? { bound: 0, count: 0 };
  const { bound: high, count } = buckets[at];
  return Number.isFinite(high) ? low + ((high - low) * (rank - below)) / (count - below) : low;
}

/** @param {readonly Sample[]} samples @param {string} name */
function bucketCounts(samples, name) {
  const bounds = samples.filter((sample) => sample.name === name).map((sample) => sample.labels.le);
  return [...new Set(bounds)]
    .map((le) => ({ bound: parseValue(le), count: total(samples, name, { le }) }))
    .sort((first, second) => first.bound - second.bound);
}
