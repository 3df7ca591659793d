/**
 * The API page: draws `openapi.json`, one card for each operation, and lets the visitor try it.
 *
 * @import { Described, Schema, Parameter, Root } from "./schema.js"
 */

import { byId, make } from "./dom.js";
import { mountKey } from "./key.js";
import { example, limitsOf, typeOf } from "./schema.js";
import { drawForm } from "./try.js";

/** @param {string} tag @param {string} [text] with one piece of Markdown: code between backquotes */
function prose(tag, text = "") {
  return make(tag, "", ...text.split("`").map((piece, index) => (index % 2 ? make("code", piece) : piece)));
}

/** @param {string[]} heads @param {(Node | string)[][]} rows */
function table(heads, rows) {
  const head = make("tr", "", ...heads.map((text) => make("th", text)));
  const body = rows.map((row) => make("tr", "", ...row.map((cell) => make("td", "", cell))));
  const wide = make("div", "", make("table", "", head, ...body));
  wide.className = "wide";
  return wide;
}

/** @param {Parameter[]} list @param {Root} root */
function drawParameters(list, root) {
  const rows = list.map(({ name, in: place, schema, description }) => [
    make("code", name),
    place,
    [typeOf(schema, root), limitsOf(schema, root)].filter(Boolean).join(", "),
    prose("span", description || schema.description),
  ]);
  return [make("h3", "Parameters"), table(["name", "in", "type", "meaning"], rows)];
}

/** @param {{content?: Record<string, {schema?: Schema, example?: unknown}>}} part @param {Root} root */
function drawContent(part, root) {
  return Object.entries(part.content ?? {}).flatMap(([media, { schema, example: given }]) => {
    const shown = given ?? (media.includes("json") && schema ? example(schema, root) : null);
    const code = make("p", "", make("code", media));
    return shown === null ? [code] : [code, make("pre", JSON.stringify(shown, null, 2))];
  });
}

/** @param {string} path @param {string} verb @param {Described} described @param {Root} root */
function drawOperation(path, verb, described, root) {
  const name = make("span", verb.toUpperCase());
  name.className = "verb";
  const summary = make("summary", "", name, make("code", path), described.summary);
  const card = make("details", "", summary, prose("p", described.description));
  card.className = "card";
  if (described.parameters?.length) card.append(...drawParameters(described.parameters, root));
  if (described.requestBody) {
    const { description } = described.requestBody;
    card.append(make("h3", "Body"), prose("p", description), ...drawContent(described.requestBody, root));
  }
  const statuses = Object.entries(described.responses);
  const good = statuses.filter(([status]) => Number(status) < 400);
  const bad = statuses.filter(([status]) => Number(status) >= 400);
  card.append(make("h3", "Answer"), ...good.flatMap(([, response]) => drawContent(response, root)));
  if (bad.length) {
    const rows = bad.map(([status, { description }]) => [make("code", status), prose("span", description)]);
    card.append(make("h3", "Problems (RFC 9457)"), table(["status", "when"], rows));
  }
  // Drawn only when the card is opened: there are many operations.
  card.addEventListener("toggle", () => card.append(make("h3", "Try it"), drawForm(path, verb, described, root)), {
    once: true,
  });
  return card;
}

/** @param {Root} root */
function draw(root) {
  byId("title", HTMLElement).textContent = `${root.info.title} ${root.info.version}`;
  byId("summary", HTMLElement).textContent = root.info.summary;
  const operations = byId("operations", HTMLElement);
  operations.replaceChildren();
  for (const tag of root.tags) {
    operations.append(make("h2", tag.name), prose("p", tag.description));
    for (const [path, verbs] of Object.entries(root.paths)) {
      for (const [verb, described] of Object.entries(verbs)) {
        if (described.tags.includes(tag.name)) operations.append(drawOperation(path, verb, described, root));
      }
    }
  }
  operations.querySelector("details")?.toggleAttribute("open", true);
}

mountKey();
fetch(new URL("openapi.json", document.baseURI))
  .then((answer) => answer.json())
  .then(draw)
  .catch((error) => {
    byId("operations", HTMLElement).textContent = `The description cannot be read: ${error.message}`;
  });
