/** Creates and finds elements. Text is only ever set as text, so nothing said becomes markup. */

/** @import { PageElements } from "../types" */
/** @typedef {Record<string, any>} Attributes `on…` is a listener; false and null are left out */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag @param {Attributes} [attributes] @param {...(Node | string)} children
 */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * Do the same in SVG.
 *
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag @param {Attributes} [attributes] @param {...(Node | string)} children
 */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Make an icon of `index.html`. @param {string} name */
export function icon(name) {
  return draw("svg", { "aria-hidden": true }, draw("use", { href: `#icon-${name}` }));
}

/**
 * Return an element of the page by its id.
 *
 * @template {keyof PageElements} Id
 * @param {Id} id
 */
export function find(id) {
  return /** @type {PageElements[Id]} */ (document.getElementById(id));
}

/**
 * @template {Element} E
 * @param {E} element @param {Attributes} attributes @param {(Node | string)[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : value);
    }
  }
  element.append(...children);
  return element;
}
