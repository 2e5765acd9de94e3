/** In which language the page speaks, and how it writes numbers there. */

import { recall, remember } from "./memory.js";
import { WORDS } from "./words.js";

const known = { ...WORDS };

const LANGUAGES = ["ar", "en"];

// Latin digits in both: beside codes, addresses and milliseconds they are read without a halt.
const LOCALES = { ar: "ar-u-nu-latn", en: "en" };

let current = LANGUAGES.includes(recall("language")) ? recall("language") : "ar";
const listeners = new Set();

export const language = () => current;
export const isRightToLeft = () => current === "ar";

/** Call `listener` now and after each change. */
export function whenLanguageChanges(listener) {
  listeners.add(listener);
  listener();
}

export function toggleLanguage() {
  current = current === "ar" ? "en" : "ar";
  remember("language", current);
  listeners.forEach((listener) => listener());
}

/** Learn the words of a part of the page that is loaded later. */
export function learn(more) {
  Object.assign(known, more);
}

/** The words of a key, with `{name}` filled in. */
export function words(key, values = {}) {
  const text = known[key][LANGUAGES.indexOf(current)];
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export const hasWords = (key) => key in known;

export function number(value, digits = 0) {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(LOCALES[current], options).format(value);
}

/** A length of time in seconds. */
export function seconds(ms, digits = 2) {
  // no-break: a number is never parted from its unit
  return `${number(ms / 1000, digits)}\u00a0${current === "ar" ? "ث" : "s"}`;
}

/** Fill in all that `index.html` marks. */
export function translate(root = document) {
  document.documentElement.lang = current;
  document.documentElement.dir = isRightToLeft() ? "rtl" : "ltr";
  for (const element of root.querySelectorAll("[data-t]")) {
    element.textContent = words(element.dataset.t);
  }
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", words(element.dataset.tLabel));
  }
  for (const element of root.querySelectorAll("[data-t-placeholder]")) {
    element.placeholder = words(element.dataset.tPlaceholder);
  }
}
