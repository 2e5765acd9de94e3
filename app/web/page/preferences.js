/** What the browser remembers for the page; where it refuses to, every visit is the first. */

const PREFIX = "nabra.";

/** @param {string} name @param {string} value @returns {boolean} whether it was saved */
export function savePreference(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    return false; // private windows and full disks
  }
  return true;
}

/** @param {string} name */
export function loadPreference(name) {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}
