/** @import { ConversationView } from "./conversation-view.js" */
/** @import { PushToTalk } from "./push-to-talk.js" */
import { announce } from "./announcer.js";
import { find } from "./elements.js";
import { onLanguageChange, translate } from "./language.js";

const ANNOUNCED = new Set(["status-thinking", "status-listening", "status-hands-free"]);

/** The line above the microphone button: what is happening now. */
export class StatusLine {
  #pushToTalk;
  #view;
  #lastKey = "";

  /** @param {PushToTalk} pushToTalk @param {ConversationView} view */
  constructor(pushToTalk, view) {
    this.#pushToTalk = pushToTalk;
    this.#view = view;
    pushToTalk.on("change", () => this.#render());
    view.on("change", () => this.#render());
    onLanguageChange(() => this.#render());
  }

  #key() {
    const { state, isHandsFree } = this.#pushToTalk;
    if (state === "opening") return "status-opening";
    if (state === "listening" && !isHandsFree) return "status-listening";
    if (this.#view.isUserSpeaking) return "status-user-speaking";
    if (this.#view.isWaiting) return "status-sent";
    if (this.#view.activity !== null) return `status-${this.#view.activity}`;
    return isHandsFree ? "status-hands-free" : "status-idle";
  }

  #render() {
    const key = this.#key();
    find("status").textContent = translate(key);
    find("stop").disabled = !this.#view.isBusy;
    document.body.dataset.doing = key.replace("status-", "");
    if (key !== this.#lastKey && ANNOUNCED.has(key)) announce(translate(key));
    this.#lastKey = key;
  }
}
