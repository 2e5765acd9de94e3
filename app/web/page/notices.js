/** Problems, in sentences that say what to do; each is shown once, until it is over. */

import { announce } from "./announcer.js";
import { find, icon, make } from "./elements.js";
import { hasWords, whenLanguageChanges, words } from "./language.js";

const shown = new Map();

/**
 * @param {string} code of a problem, as the library names it
 * @param {{label: string, run: () => void}} [action] `label` is a key of `words.js`
 * @param {string} [detail] said behind it
 */
export function notice(code, { action, detail } = {}) {
  const key = hasWords(`problem-${code}`) ? `problem-${code}` : "problem-connection-lost";
  const news = !shown.has(code);
  shown.set(code, { key, action, detail });
  show();
  if (news) announce(textOf(shown.get(code)));
}

export const isShown = (code) => shown.has(code);

export function settle(...codes) {
  for (const code of codes) shown.delete(code);
  show();
}

whenLanguageChanges(show);

function textOf({ key, detail }) {
  return detail ? `${words(key)} ${words(detail)}` : words(key);
}

function show() {
  find("notices").replaceChildren(...Array.from(shown, ([code, problem]) => {
    const { action } = problem;
    const dismiss = make("button", {
      class: "quiet icon",
      type: "button",
      "aria-label": words("dismiss"),
      onclick: () => settle(code),
    }, icon("close"));
    const act = action && make("button", {
      class: "small",
      type: "button",
      onclick: () => {
        settle(code);
        action.run();
      },
    }, words(action.label));
    const text = make("p", {}, textOf(problem));
    const parts = act ? [text, act, dismiss] : [text, dismiss];
    return make("div", { class: "notice", "data-code": code }, ...parts);
  }));
}
