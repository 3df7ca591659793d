/**
 * The status view: what the server does right now, from its own metrics.
 *
 * @import { Model } from "./types.js"
 * @import { Figures } from "./figures.js"
 */

import { listModels, metricsText } from "./api.js";
import { byId, part, renderList } from "./dom.js";
import { Recorder, tilesOf } from "./figures.js";
import { formatMs } from "./report.js";
import { sparkline } from "./sparkline.js";

const EVERY_MS = 2000;

/** @returns {(view: string) => void} to be told which view is shown: it asks the server only while its own is */
export function mountStatus() {
  let recorder = new Recorder();
  let timer = 0;
  const refresh = async () => {
    if (document.hidden) return;
    try {
      const [text, { models, refused }] = await Promise.all([metricsText(), listModels()]);
      showFigures(recorder.record(text, performance.now()));
      showModels(models);
      lead(refusalText(refused));
    } catch (error) {
      recorder = new Recorder(); // counters start at 0 again with the server
      clearFigures();
      lead(/** @type {Error} */ (error).message);
    }
  };
  return (view) => {
    clearInterval(timer);
    if (view !== "status") return;
    timer = setInterval(refresh, EVERY_MS);
    refresh();
  };
}

/** @param {string} text */
function lead(text) {
  byId("status-lead", HTMLElement).textContent = text;
}

/** @param {Record<string, string>} refused @returns {string} */
function refusalText(refused) {
  const reasons = Object.entries(refused ?? {}).map(
    ([folder, reason]) => `${folder} does not serve: ${reason}`,
  );
  return reasons.join(" ") || "All models serve. Figures of the last minutes, as this page saw them.";
}

/** @param {Figures[]} history oldest first */
function showFigures(history) {
  const now = history[history.length - 1];
  const template = byId("tile-template", HTMLTemplateElement);
  renderList(byId("tiles", HTMLElement), template, tilesOf(now), (tile, { name, unit, value, note }) => {
    const shown = value(now);
    part(tile, "name").textContent = name;
    part(tile, "value").textContent = formatFigure(shown);
    part(tile, "unit").textContent = unit;
    part(tile, "note").textContent = note(now);
    const { line, area } = sparkline(history.map(value));
    part(tile, "line").setAttribute("d", line);
    part(tile, "area").setAttribute("d", area);
  });
  showStages(now.stages);
}

/** Leaves the tiles standing, without figures that nobody vouches for. */
function clearFigures() {
  for (const tile of byId("tiles", HTMLElement).children) {
    part(tile, "value").textContent = formatFigure(NaN);
    part(tile, "note").textContent = "";
    for (const name of ["line", "area"]) part(tile, name).setAttribute("d", "");
  }
  byId("stages", HTMLElement).replaceChildren();
  byId("models", HTMLElement).replaceChildren();
}

/** @param {[name: string, milliseconds: number][]} stages */
function showStages(stages) {
  const longest = Math.max(...stages.map(([, time]) => time));
  const template = byId("stage-row-template", HTMLTemplateElement);
  renderList(byId("stages", HTMLElement), template, stages, (row, [name, time]) => {
    part(row, "name").textContent = name;
    part(row, "value").textContent = formatMs(time);
    part(row, "bar").style.width = `${longest ? (time / longest) * 100 : 0}%`;
  });
}

/** @param {readonly Model[]} models */
function showModels(models) {
  const template = byId("model-template", HTMLTemplateElement);
  renderList(
    byId("models", HTMLElement),
    template,
    models,
    (row, { name, version, labels, input, backend }) => {
      const texts = {
        name,
        version,
        classes: String(labels.length),
        input: `${input.width} × ${input.height}`,
        runtime: `${backend.runtime} ${backend.runtime_version}`,
        precision: backend.precision,
        asked: backend.asked.join(", ") || "any",
        effect: backend.in_effect.join(", "),
      };
      for (const [key, text] of Object.entries(texts)) part(row, key).textContent = text;
    },
  );
}

/** @param {number} value */
function formatFigure(value) {
  if (Number.isNaN(value)) return "–";
  return value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });
}
