/** The page during a conversation; loaded when one starts. */

/** @import { Nabra } from "../nabra.js" */
/** @import { About } from "../types" */
/** @import { Problems } from "./problems.js" */
/** @import { SidePanel } from "./side-panel.js" */
import { ConversationView } from "./conversation-view.js";
import { startDiagnostics } from "./diagnostics.js";
import { find, make } from "./elements.js";
import { showLevels } from "./level-meter.js";
import { showNotice } from "./notices.js";
import { PushToTalk } from "./push-to-talk.js";
import { StatusLine } from "./status-line.js";

/** Questions that the simulated agent has responses to; it knows Arabic only. */
const SUGGESTIONS = [
  "السلام عليكم، أبغى أستعلم عن شحنة.",
  "رقم البوليصة NQL.123، متى توصل؟",
  "ممكن تغير العنوان إلى حي الياسمين؟",
];

/**
 * Connect the page to the library's events, before the first of them.
 *
 * @param {Nabra} nabra @param {About} about @param {Problems} problems @param {SidePanel} panel
 */
export function start(nabra, about, problems, panel) {
  const view = new ConversationView(nabra);
  const pushToTalk = new PushToTalk(nabra, view);
  new StatusLine(pushToTalk, view);
  showLevels(nabra);
  startDiagnostics(nabra, view, about);
  view.on("select", () => panel.showReport());
  pushToTalk.on("problem", ({ code }) => problems.show(code));
  pushToTalk.on("change", () => {
    if (pushToTalk.state === "listening") problems.hideMicrophoneProblems();
  });
  const interrupt = () => view.isBusy && nabra.interrupt();
  const send = (/** @type {string} */ text) => sendText(text, nabra, view, problems);
  watchComposer(send, interrupt);
  watchEscape(pushToTalk, panel, interrupt);
  if (about.simulates.agent) showSuggestions(send);
  find("composer").hidden = false;
  find("microphone").focus();
}

/**
 * @param {string} text @param {Nabra} nabra @param {ConversationView} view
 * @param {Problems} problems
 * @returns {boolean} whether it was sent
 */
function sendText(text, nabra, view, problems) {
  if (text === "") return false;
  problems.unlock();
  if (!nabra.say(text)) {
    showNotice("not-sent");
    return false;
  }
  view.addPending(text);
  view.finishPending();
  return true;
}

/** @param {(text: string) => boolean} send @param {() => void} interrupt */
function watchComposer(send, interrupt) {
  find("stop").addEventListener("click", interrupt);
  find("typed").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = find("text");
    if (send(field.value.trim())) field.value = "";
  });
}

/** @param {PushToTalk} pushToTalk @param {SidePanel} panel @param {() => void} interrupt */
function watchEscape(pushToTalk, panel, interrupt) {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    if (panel.isSheet) panel.close();
    else if (pushToTalk.state !== "off" && !pushToTalk.isHandsFree) pushToTalk.cancel();
    else interrupt();
  });
}

/** @param {(text: string) => void} send */
function showSuggestions(send) {
  const look = { class: "suggestion", type: "button", lang: "ar", dir: "rtl" };
  const suggestion = (/** @type {string} */ text) =>
    make("button", { ...look, onclick: () => send(text) }, text);
  find("suggestions").replaceChildren(...SUGGESTIONS.map(suggestion));
  find("suggestions").hidden = false;
}
