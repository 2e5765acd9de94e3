/** The page before a conversation: the start button, the language, the panel. */

/** @import { About } from "../types" */
import { Nabra } from "../nabra.js";
import { showConnectionStatus } from "./connection-status.js";
import { find } from "./elements.js";
import {
  language, onLanguageChange, toggleLanguage, translate, translateDocument,
} from "./language.js";
import { showNotice } from "./notices.js";
import { Problems } from "./problems.js";
import { SidePanel } from "./side-panel.js";
import { TokenForm } from "./token-form.js";

const tokenForm = new TokenForm(() => begin());
const token = () => tokenForm.token;
const nabra = new Nabra({ options: { language: language() }, token });
onLanguageChange(() => {
  translateDocument();
  const button = find("language");
  button.textContent = translate("other-language");
  button.lang = language() === "ar" ? "en" : "ar";
});

let isStarted = false;
const problems = new Problems(nabra, tokenForm);
const panel = new SidePanel();
showConnectionStatus(nabra);

const aboutLoaded = loadAbout();
aboutLoaded.then(({ simulates }) => onLanguageChange(() => {
  find("simulated").hidden = !simulates.speech;
  find("simulated").textContent = translate("simulated");
}));

aboutLoaded.then(({ needs_token: needsToken }) => {
  if (needsToken === false) tokenForm.forget();
  else if (needsToken && tokenForm.token === "") tokenForm.ask();
});

find("language").addEventListener("click", () => {
  toggleLanguage();
  nabra.configure({ language: language() }).catch(() => {}); // its own language stays
});
find("start").addEventListener("click", begin);
find("start").disabled = false;

/** Start the conversation, or connect it again by another token. */
function begin() {
  problems.unlock(); // at once, in the gesture
  if (isStarted) {
    nabra.connect().catch(() => {}); // the "problem" event reports it
    return;
  }
  isStarted = true;
  find("start").disabled = true;
  startConversation();
}

/** Load the rest of the page, which is needed only now, and connect. */
async function startConversation() {
  const loading = import("./conversation.js").catch(() => null);
  const [about, conversation] = await Promise.all([aboutLoaded, loading]);
  if (conversation === null) {
    // Not every browser imports again what has failed to load.
    showNotice("page-incomplete", { action: { label: "try-again", run: () => location.reload() } });
    return;
  }
  find("start").hidden = true;
  conversation.start(nabra, about, problems, panel);
  nabra.connect().catch(() => {}); // the "problem" event reports it
}

/** @returns {Promise<About>} */
async function loadAbout() {
  try {
    const response = await fetch("about.json");
    if (response.ok) return await response.json();
  } catch {
    // Conversations work without it.
  }
  return { simulates: { speech: false, agent: false }, workbench: false };
}
