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

const nabra = new Nabra({ options: { language: language() } });
onLanguageChange(() => {
  translateDocument();
  const button = find("language");
  button.textContent = translate("other-language");
  button.lang = language() === "ar" ? "en" : "ar";
});

const problems = new Problems(nabra);
const panel = new SidePanel();
showConnectionStatus(nabra);

const aboutLoaded = loadAbout();
aboutLoaded.then(({ simulates }) => onLanguageChange(() => {
  find("simulated").hidden = !simulates.speech;
  find("simulated").textContent = translate("simulated");
}));

find("language").addEventListener("click", () => {
  toggleLanguage();
  nabra.configure({ language: language() }).catch(() => {}); // its own language stays
});
find("start").addEventListener("click", () => {
  problems.unlock(); // at once, in the gesture
  find("start").disabled = true;
  startConversation();
});
find("start").disabled = false;

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
    const response = await fetch("/about.json");
    if (response.ok) return await response.json();
  } catch {
    // Conversations work without it.
  }
  return { simulates: { speech: false, agent: false }, workbench: false };
}
