/** Notices above the conversation: each says what to do, and is shown once until it is settled. */

import { announce } from "./announcer.js";
import { find, icon, make } from "./elements.js";
import { hasText, onLanguageChange, translate } from "./language.js";

/**
 * @typedef {object} Notice
 * @property {string} key of its text
 * @property {{label: string, run: () => void}} [action] `label` is the key of a text
 * @property {string} [detail] the key of a second text
 */

/** By their code. @type {Map<string, Notice>} */
const shown = new Map();

/**
 * @param {string} code of a problem, as the library names it
 * @param {Pick<Notice, "action" | "detail">} [more]
 */
export function showNotice(code, { action, detail } = {}) {
  const key = hasText(`problem-${code}`) ? `problem-${code}` : "problem-connection-lost";
  const isNew = !shown.has(code);
  const notice = { key, action, detail };
  shown.set(code, notice);
  render();
  if (isNew) announce(textOf(notice));
}

/** @param {string} code */
export const isNoticeShown = (code) => shown.has(code);

/** @param {...string} codes */
export function hideNotices(...codes) {
  for (const code of codes) shown.delete(code);
  render();
}

onLanguageChange(render);

/** @param {Notice} notice */
function textOf({ key, detail }) {
  return detail ? `${translate(key)} ${translate(detail)}` : translate(key);
}

function render() {
  const notices = Array.from(shown, ([code, notice]) => noticeElement(code, notice));
  find("notices").replaceChildren(...notices);
}

/** @param {string} code @param {Notice} notice */
function noticeElement(code, notice) {
  const { action } = notice;
  const dismiss = make("button", {
    class: "quiet icon",
    type: "button",
    "aria-label": translate("dismiss"),
    onclick: () => hideNotices(code),
  }, icon("close"));
  const parts = [make("p", {}, textOf(notice)), dismiss];
  if (action) {
    const onclick = () => {
      hideNotices(code);
      action.run();
    };
    const look = { class: "small", type: "button", onclick };
    parts.splice(1, 0, make("button", look, translate(action.label)));
  }
  return make("div", { class: "notice", "data-code": code }, ...parts);
}
