/** The language of the page, its texts, and how it writes numbers. */

/** @import { Language, Texts } from "../types" */
import { loadPreference, savePreference } from "./preferences.js";
import { TEXTS } from "./texts.js";

/** In the order of the texts. @type {Language[]} */
const LANGUAGES = ["ar", "en"];

// Latin digits in both: they stand beside codes, addresses and milliseconds.
const LOCALES = { ar: "ar-u-nu-latn", en: "en" };

const texts = { ...TEXTS };
let current = LANGUAGES.find((name) => name === loadPreference("language")) ?? "ar";
/** @type {Set<() => void>} */
const listeners = new Set();

export const language = () => current;
export const isRightToLeft = () => current === "ar";

/** Call `listener` now and after each change. @param {() => void} listener */
export function onLanguageChange(listener) {
  listeners.add(listener);
  listener();
}

export function toggleLanguage() {
  current = current === "ar" ? "en" : "ar";
  savePreference("language", current);
  listeners.forEach((listener) => listener());
}

/** Add the texts of a part of the page that is loaded later. @param {Texts} more */
export function addTexts(more) {
  Object.assign(texts, more);
}

/**
 * Return a text in the current language, with its placeholders replaced.
 *
 * @param {string} key @param {Record<string, string | number>} [values]
 */
export function translate(key, values = {}) {
  const text = texts[key][LANGUAGES.indexOf(current)];
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** @param {string} key */
export const hasText = (key) => key in texts;

/** @param {number} value */
export function formatNumber(value, digits = 0) {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(LOCALES[current], options).format(value);
}

/** Write a duration in seconds. @param {number} ms */
export function formatSeconds(ms, digits = 2) {
  // The no-break space keeps the number and its unit on one line.
  return `${formatNumber(ms / 1000, digits)}\u00a0${current === "ar" ? "ث" : "s"}`;
}

/** Set the texts that `index.html` names in `data-t…` attributes. */
export function translateDocument() {
  document.documentElement.lang = current;
  document.documentElement.dir = isRightToLeft() ? "rtl" : "ltr";
  /** @type {(name: string, set: (element: HTMLElement, text: string) => void) => void} */
  const fill = (name, set) => {
    for (const element of document.querySelectorAll(`[${name}]`)) {
      set(/** @type {HTMLElement} */ (element), translate(element.getAttribute(name) ?? ""));
    }
  };
  fill("data-t", (element, text) => (element.textContent = text));
  fill("data-t-label", (element, text) => element.setAttribute("aria-label", text));
  fill("data-t-placeholder", (element, text) => element.setAttribute("placeholder", text));
}
