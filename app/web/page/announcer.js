/** Tells screen readers what happens, once each: the answer itself is heard, not read out too. */

import { find } from "./elements.js";

export function announce(text) {
  const line = find("announcer");
  line.textContent = "";
  requestAnimationFrame(() => (line.textContent = text)); // the same words twice are news twice
}
