/** What goes on: the line above the microphone, and the state of the connection in the corner. */

import { announce } from "./announcer.js";
import { find } from "./elements.js";
import { seconds, whenLanguageChanges, words } from "./language.js";

const SPOKEN_OUT = new Set(["status-thinking", "status-listening", "status-hands-free"]);

export class StatusLine {
  #talk;
  #conversation;
  #last = "";

  constructor(talk, conversation) {
    this.#talk = talk;
    this.#conversation = conversation;
    talk.addEventListener("change", () => this.#show());
    conversation.addEventListener("change", () => this.#show());
    whenLanguageChanges(() => this.#show());
  }

  #key() {
    const { state, isHandsFree } = this.#talk;
    if (state === "opening") return "status-opening";
    if (state === "listening" && !isHandsFree) return "status-listening";
    if (this.#conversation.isListening) return "status-hearing";
    if (this.#conversation.isWaiting) return "status-sent";
    const { activity } = this.#conversation;
    if (activity !== null) return `status-${activity}`;
    return isHandsFree ? "status-hands-free" : "status-idle";
  }

  #show() {
    const key = this.#key();
    find("status").textContent = words(key);
    find("stop").disabled = !this.#conversation.isBusy;
    document.body.dataset.doing = key.replace("status-", "");
    if (key !== this.#last && SPOKEN_OUT.has(key)) announce(words(key));
    this.#last = key;
  }
}

/** Show the state of the connection, with the seconds until it is tried again. */
export function showConnection(nabra) {
  let state = "idle";
  let againAt = 0;
  let timer;

  const show = () => {
    const left = Math.max(0, Math.ceil((againAt - performance.now()) / 1000));
    find("connection").dataset.state = state;
    find("connection-text").textContent = words(`state-${state}`, { seconds: seconds(left * 1000, 0) });
  };
  nabra.addEventListener("state", ({ detail }) => {
    state = detail.state;
    againAt = performance.now() + (detail.retryInMs ?? 0);
    clearInterval(timer);
    if (state === "waiting") timer = setInterval(show, 1000);
    show();
  });
  whenLanguageChanges(show);
}
