/**
 * A form that sends one request of the API and shows the answer.
 *
 * @import { Described, Parameter, Root } from "./schema.js"
 */

import { make } from "./dom.js";
import { askForKey, currentKey, keyHeaders } from "./key.js";
import { example } from "./schema.js";

const SHOWN = 20_000; // characters of an answer
const HEADERS_OF_THE_BROWSER = ["authorization", "x-api-key"]; // the key's dialog gives these

/** @param {string} path @param {string} verb @param {Described} described @param {Root} root */
export function drawForm(path, verb, described, root) {
  const form = make("form");
  form.className = "try";
  const parameters = (described.parameters ?? []).filter(
    ({ name }) => !HEADERS_OF_THE_BROWSER.includes(name.toLowerCase()),
  );
  const fields = parameters.map((parameter) => drawField(form, parameter));
  const accept = drawAccept(form, Object.keys(described.responses["200"]?.content ?? {}));
  const body = described.requestBody && drawBody(form, described.requestBody.content, root);
  const send = make("button", "Send");
  send.className = "button primary";
  const line = make("pre");
  const outcome = make("div");
  outcome.className = "outcome";
  outcome.setAttribute("role", "status");
  form.append(make("span", "As a command"), line, send, outcome);

  /** @returns {{url: URL, headers: Record<string, string>}} */
  const target = () => {
    const { url, headers } = addressOf(path, parameters, fields);
    return { url, headers: accept?.selectedIndex ? { ...headers, Accept: accept.value } : headers };
  };
  const refresh = () => (line.textContent = curlLine(verb, target(), body));
  form.addEventListener("input", refresh);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    outcome.replaceChildren("Sending…");
    outcome.replaceChildren(...(await exchange(verb, target(), body)));
  });
  refresh();
  return form;
}

/** @param {HTMLElement} form @param {Parameter} parameter @returns {HTMLInputElement} */
function drawField(form, { name, in: place, required, examples }) {
  const input = /** @type {HTMLInputElement} */ (make("input"));
  const given = Object.values(examples ?? {})[0]?.value;
  input.placeholder = given === undefined ? "" : String(given);
  if (place === "path" || required) {
    input.required = true;
    input.value = input.placeholder;
  }
  form.append(make("label", "", make("code", name)), input);
  input.setAttribute("aria-label", name);
  return input;
}

/**
 * A choice between the formats of the answer; the first is the default.
 *
 * @param {HTMLElement} form
 * @param {string[]} formats
 * @returns {HTMLSelectElement | null} null where there is one format only
 */
function drawAccept(form, formats) {
  if (formats.length < 2) return null;
  const select = /** @type {HTMLSelectElement} */ (make("select", "", ...formats.map((media) => new Option(media))));
  select.setAttribute("aria-label", "accept");
  form.append(make("label", "answer as"), select);
  return select;
}

/**
 * @typedef {{media: () => string, value: () => Blob | string | undefined, curl: () => string}} Body
 *
 * @param {HTMLElement} form
 * @param {Record<string, {example?: unknown, schema?: Record<string, any>}>} content
 * @param {Root} root
 * @returns {Body}
 */
function drawBody(form, content, root) {
  const image = Object.keys(content).find((media) => media.startsWith("image/"));
  if (image) {
    const file = /** @type {HTMLInputElement} */ (make("input"));
    file.type = "file";
    file.accept = "image/*";
    file.required = true;
    file.setAttribute("aria-label", "Picture file");
    form.append(make("label", "picture"), file);
    return {
      media: () => file.files?.[0]?.type || "application/octet-stream",
      value: () => file.files?.[0],
      curl: () => `--data-binary @${file.files?.[0]?.name ?? "photo.jpg"}`,
    };
  }
  const [media, described] = Object.entries(content)[0];
  const text = /** @type {HTMLTextAreaElement} */ (make("textarea"));
  const shown = described.example ?? (described.schema ? example(described.schema, root) : {});
  text.value = JSON.stringify(shown, null, 2);
  text.rows = Math.min(12, text.value.split("\n").length);
  text.setAttribute("aria-label", "Body");
  form.append(make("label", "body"), text);
  return { media: () => media, value: () => text.value, curl: () => `--json ${quote(text.value)}` };
}

/** @param {string} path @param {Parameter[]} parameters @param {HTMLInputElement[]} fields */
function addressOf(path, parameters, fields) {
  let filled = path;
  /** @type {Record<string, string>} */
  const headers = {};
  const query = new URLSearchParams();
  for (const [at, { name, in: place }] of parameters.entries()) {
    const value = fields[at].value.trim();
    if (place === "path") filled = filled.replace(`{${name}}`, encodeURIComponent(value));
    else if (value && place === "query") query.set(name, value);
    else if (value && place === "header") headers[name] = value;
  }
  const url = new URL(filled.slice(1), document.baseURI);
  url.search = query.toString();
  return { url, headers };
}

/** @param {string} text */
function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** @param {string} verb @param {{url: URL, headers: Record<string, string>}} target @param {Body} [body] */
function curlLine(verb, { url, headers }, body) {
  const parts = Object.entries(headers).map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`);
  const method = body || verb === "get" ? [] : [`-X ${verb.toUpperCase()}`];
  return ["curl", ...method, ...(body ? [body.curl()] : []), ...parts, quote(url.href)].join(" ");
}

/**
 * @param {string} verb
 * @param {{url: URL, headers: Record<string, string>}} target
 * @param {Body} [body]
 * @returns {Promise<Node[]>} the answer, to be shown
 */
async function exchange(verb, target, body) {
  const key = currentKey();
  const headers = { ...target.headers, ...keyHeaders(), ...(body && { "Content-Type": body.media() }) };
  try {
    const response = await fetch(target.url, { method: verb.toUpperCase(), headers, body: body?.value() });
    if (response.status === 401 && (await askForKey(key))) return exchange(verb, target, body);
    const status = make("p", "", make("code", `${response.status} ${response.statusText}`));
    return [status, await showBody(response)];
  } catch (error) {
    return [make("p", `The server cannot be reached: ${/** @type {Error} */ (error).message}`)];
  }
}

/** @param {Response} response @returns {Promise<Node>} */
async function showBody(response) {
  const media = response.headers.get("content-type") ?? "";
  if (media.startsWith("image/")) {
    const image = /** @type {HTMLImageElement} */ (make("img"));
    image.alt = "The answer";
    image.src = URL.createObjectURL(await response.blob());
    return image;
  }
  const text = await response.text();
  const shown = media.includes("json") ? JSON.stringify(JSON.parse(text), null, 2) : text;
  return make("pre", shown.length > SHOWN ? `${shown.slice(0, SHOWN)}\n… ${shown.length} characters in all` : shown);
}
