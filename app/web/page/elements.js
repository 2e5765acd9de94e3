/** Makes elements. Text is only ever set as text: nothing that was said becomes markup. */

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} tag @param {object} [attributes] @param {...(Node | string)} children */
export function make(tag, attributes = {}, ...children) {
  return finish(document.createElement(tag), attributes, children);
}

/** The same, in SVG. */
export function draw(tag, attributes = {}, ...children) {
  return finish(document.createElementNS(SVG, tag), attributes, children);
}

/** An icon of `index.html`, by its name. */
export function icon(name) {
  return draw("svg", { "aria-hidden": true }, draw("use", { href: `#icon-${name}` }));
}

export const find = (id) => document.getElementById(id);

function finish(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : value);
    }
  }
  element.append(...children);
  return element;
}
