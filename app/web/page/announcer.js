import { find } from "./elements.js";

/**
 * Tell screen readers what happens. Not the response's text: it is spoken already.
 *
 * @param {string} text
 */
export function announce(text) {
  const line = find("announcer");
  line.textContent = "";
  requestAnimationFrame(() => (line.textContent = text)); // or a repeated text would not be read
}
