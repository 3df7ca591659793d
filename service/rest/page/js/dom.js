/** The few things the views need beyond the DOM's own vocabulary. */

/**
 * The element with an id; the page's own markup guarantees it.
 *
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`index.html has no ${type.name} #${id}`);
  return element;
}

/**
 * Makes `parent` hold as many copies of the template as there are items, reusing what is there, so that
 * focus and hover survive an update.
 *
 * @template T
 * @param {HTMLElement} parent
 * @param {HTMLTemplateElement} template with one element
 * @param {readonly T[]} items
 * @param {(element: HTMLElement, item: T) => void} fill
 */
export function renderList(parent, template, items, fill) {
  while (parent.children.length > items.length) parent.lastElementChild?.remove();
  while (parent.children.length < items.length) parent.append(template.content.cloneNode(true));
  for (const [index, item] of items.entries()) {
    fill(/** @type {HTMLElement} */ (parent.children[index]), item);
  }
}

/** @param {ParentNode} root @param {string} name @returns {HTMLElement} the one with that `data-part` */
export function part(root, name) {
  return /** @type {HTMLElement} */ (root.querySelector(`[data-part="${name}"]`));
}

/** @param {string} name @returns {NodeListOf<HTMLButtonElement>} the buttons that do the same thing */
export function actionButtons(name) {
  return document.querySelectorAll(`button[data-action="${name}"]`);
}

/**
 * @param {string} tag
 * @param {string} [text]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function make(tag, text = "", ...children) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}
