/**
 * JSON schemas of an OpenAPI description, in words and as examples.
 *
 * @typedef {Record<string, any>} Schema
 * @typedef {Record<string, any>} Root the whole description
 * @typedef {{name: string, in: string, schema: Schema, description?: string, required?: boolean,
 *   examples?: Record<string, {value: unknown}>}} Parameter
 * @typedef {{summary: string, description: string, tags: string[], parameters?: Parameter[],
 *   requestBody?: {description?: string, content: Record<string, {schema?: Schema, example?: unknown}>},
 *   responses: Record<string, {description: string, content?: Record<string, {schema?: Schema}>}>}} Described
 */

/** @param {Schema} schema @param {Root} root @returns {Schema} the schema that a reference leads to */
function resolve(schema, root) {
  if (!schema.$ref) return schema;
  const path = schema.$ref.slice(2).split("/");
  return resolve(
    path.reduce((/** @type {any} */ node, /** @type {string} */ key) => node[key], root),
    root,
  );
}

/** @param {Schema} schema @param {Root} root @returns {string} */
export function typeOf(schema, root) {
  const known = resolve(schema, root);
  if (known.anyOf) {
    const names = known.anyOf.map((/** @type {Schema} */ each) => typeOf(each, root));
    return names.filter((/** @type {string} */ name) => name !== "null").join(" or ");
  }
  if (known.enum) return known.enum.map((/** @type {unknown} */ value) => JSON.stringify(value)).join(" or ");
  if (known.const) return JSON.stringify(known.const);
  if (known.type === "array") return known.items ? `list of ${typeOf(known.items, root)}` : "list";
  return known.title && known.properties ? known.title : known.format || known.type || "any";
}

/** @param {Schema} schema @param {Root} root @returns {unknown} a value that fits */
export function example(schema, root) {
  const known = resolve(schema, root);
  if (known.examples) return known.examples[0];
  if (known.default !== undefined && known.default !== null) return known.default;
  if (known.anyOf) return example(known.anyOf[0], root);
  if (known.enum) return known.enum[0];
  if (known.const) return known.const;
  if (known.prefixItems) return known.prefixItems.map((/** @type {Schema} */ item) => example(item, root));
  if (known.type === "array") return [example(known.items ?? {}, root)];
  if (known.properties) {
    const parts = Object.entries(known.properties).map(([name, part]) => [name, example(part, root)]);
    return Object.fromEntries(parts);
  }
  if (known.type === "object") return {};
  return { string: "…", number: 0.5, integer: 1, boolean: true }[/** @type {string} */ (known.type)] ?? null;
}

/** @param {Schema} schema @param {Root} root @returns {string} the smallest and largest value allowed */
export function limitsOf(schema, root) {
  const known = resolve(schema, root);
  const parts = (known.anyOf ?? [known]).map((/** @type {Schema} */ each) => resolve(each, root));
  const texts = parts.flatMap((/** @type {Schema} */ part) => [
    part.minimum !== undefined && `at least ${part.minimum}`,
    part.exclusiveMinimum !== undefined && `above ${part.exclusiveMinimum}`,
    part.maximum !== undefined && `at most ${part.maximum}`,
  ]);
  return texts.filter(Boolean).join(", ");
}
