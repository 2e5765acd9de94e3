/** Puts the page together. */

import { Nabra } from "../nabra.js";
import { announce } from "./announcer.js";
import { Conversation } from "./conversation.js";
import { find, make } from "./elements.js";
import { language, toggleLanguage, translate, whenLanguageChanges, words } from "./language.js";
import { isShown, notice, settle } from "./notices.js";
import { Panel } from "./panel.js";
import { showConnection, StatusLine } from "./status.js";
import { Talk } from "./talk.js";

/** What the simulated agent has an answer to; it knows Arabic only. */
const SUGGESTIONS = [
  "السلام عليكم، أبغى أستعلم عن شحنة.",
  "رقم البوليصة NQL.123، متى توصل؟",
  "ممكن تغير العنوان إلى حي الياسمين؟",
];

const ABOUT = { simulates: { speech: false, agent: false }, workbench: false };

/** Without these one may type all the same. */
const OF_THE_MICROPHONE = ["no-microphone", "microphone-denied", "microphone-busy", "no-hands-free"];
const OF_THE_BROWSER = ["insecure-context", "unsupported-browser"];
const OF_THE_CONNECTION = ["connection-lost", "server-draining", "too-busy", "refused"];

/** Whether this browser has let us know that it will never sound here. */
let isMute = false;

const nabra = new Nabra({ options: { language: language() } });
whenLanguageChanges(() => {
  translate();
  const button = find("language");
  button.textContent = words("other-language");
  button.lang = language() === "ar" ? "en" : "ar";
});

const conversation = new Conversation(nabra);
const talk = new Talk(nabra, conversation);
const panel = new Panel();
new StatusLine(talk, conversation);
showConnection(nabra);

let about = ABOUT;
const asked = fetch("/about.json").then(async (response) => {
  if (response.ok) about = await response.json();
  whenLanguageChanges(showSimulated);
  showSuggestions();
}, () => {}); // then one can talk all the same

find("language").addEventListener("click", () => {
  toggleLanguage();
  nabra.configure({ language: language() }).catch(() => {}); // it speaks as it did
});

find("start").addEventListener("click", async () => {
  unlock();
  find("start").hidden = true;
  find("composer").hidden = false;
  showSuggestions();
  find("microphone").focus();
  // Before the first event, and without them if need be.
  const [behind] = await Promise.all([import("./behind.js").catch(() => null), asked]);
  behind?.lookBehind(nabra, conversation, about);
  nabra.connect().catch(() => {}); // told by "problem"
});

find("stop").addEventListener("click", () => interrupt());

find("typed").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = find("text");
  if (say(field.value.trim())) field.value = "";
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (panel.isSheet) panel.close();
  else if (talk.state !== "off" && !talk.isHandsFree) talk.cancel();
  else interrupt();
});

conversation.addEventListener("select", () => panel.showReport());

nabra.addEventListener("problem", ({ detail }) => tell(detail));
talk.addEventListener("problem", ({ detail }) => tell(detail));
talk.addEventListener("change", () => {
  if (talk.state === "listening") settle(...OF_THE_MICROPHONE, "audio-locked");
});
nabra.addEventListener("playing", () => settle("audio-locked"));
nabra.addEventListener("state", ({ detail: { state } }) => {
  if (state !== "open") return;
  settle(...OF_THE_CONNECTION, "not-sent");
  announce(words("state-open"));
});

function say(text) {
  if (text === "") return false;
  unlock();
  if (!nabra.say(text)) {
    notice("not-sent");
    return false;
  }
  conversation.expect(text);
  conversation.finishSpeaking();
  return true;
}

function interrupt() {
  if (conversation.isBusy) nabra.interrupt();
}

/** Let the page sound; where that cannot be, say so, and go on in writing. */
async function unlock() {
  if (isMute) return;
  try {
    await nabra.unlock();
    settle("audio-locked");
  } catch (problem) {
    tell(problem);
  }
}

function tell({ code }) {
  if (code === "closed" || (code === "audio-locked" && isMute)) return;
  isMute ||= OF_THE_BROWSER.includes(code);
  if (code === "audio-locked") notice(code, { action: { label: "turn-sound-on", run: unlock } });
  else if (OF_THE_CONNECTION.includes(code)) tellOfConnection(code);
  else notice(code, { detail: "go-on-typing" });
}

/** The reason that came first is the reason: after it nobody is there to give another. */
function tellOfConnection(code) {
  if (code === "connection-lost" && OF_THE_CONNECTION.some(isShown)) return;
  settle(...OF_THE_CONNECTION);
  notice(code, { action: { label: "try-again", run: reconnect } });
}

/** At once, but with the microphone as it is: `close` would turn it off. */
function reconnect() {
  nabra.connect().catch(() => {});
}

function showSimulated() {
  find("simulated").hidden = !about.simulates.speech;
  find("simulated").textContent = words("simulated");
}

function showSuggestions() {
  const box = find("suggestions");
  box.hidden = !about.simulates.agent || !find("start").hidden;
  const look = { class: "suggestion", type: "button", lang: "ar", dir: "rtl" };
  const suggestion = (text) => make("button", { ...look, onclick: () => say(text) }, text);
  box.replaceChildren(...SUGGESTIONS.map(suggestion));
}

find("start").disabled = false; // now there is somebody to hear it
