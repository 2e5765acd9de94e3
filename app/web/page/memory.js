/** What the browser remembers for us; it may refuse to, and then every visit is the first. */

const PREFIX = "nabra.";

export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    return false; // private windows and full disks
  }
  return true;
}

/** @returns {string | null} */
export function recall(name) {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}
