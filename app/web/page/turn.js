/** One turn as it is shown: what was said, what was answered, and what became of it. */

import { Answer } from "./answer.js";
import { make } from "./elements.js";
import { number, seconds, words } from "./language.js";

export class TurnView {
  /** When the user had finished, by this browser's clock; null while that is not so. */
  endedAt = null;
  /** When its first sound was heard, by the same clock. */
  heardAt = null;
  metrics = null;
  isOver = false;
  answer = new Answer();
  #interrupted = false;
  /** Whether the gateway was still making it when it was interrupted. */
  isCutShort = false;
  /** What was said about what went wrong, and how often. */
  #mishaps = new Map();
  #said = make("p", { class: "said", dir: "auto" });
  #reply = make("div", { class: "reply", hidden: true });
  #chip = make("button", { class: "chip", type: "button", hidden: true });
  #cut = make("span", { class: "cut", hidden: true });

  /** @param {string | null} said null while it is not known yet */
  constructor(said, onselect) {
    this.element = make("article", { class: "turn" }, this.#said, this.#reply);
    this.#chip.addEventListener("click", () => onselect(this));
    this.hear(said);
  }

  /** From the end of the user's words to the first sound, as it was heard here. */
  get heardMs() {
    if (this.heardAt === null || this.endedAt === null) return null;
    // Hands-free the end is known after a pause, which the gateway has measured.
    return this.heardAt - this.endedAt + (this.metrics?.endpointing_ms ?? 0);
  }

  /** Whether there is nothing to show: the user only paused for breath. */
  get isEmpty() {
    return this.said === "" && this.answer.text === "" && this.#mishaps.size === 0;
  }

  get said() {
    return this.#said.classList.contains("pending") ? "" : this.#said.lastChild.data;
  }

  hear(text) {
    this.#said.classList.toggle("pending", text === null);
    this.#said.replaceChildren(make("bdi", { class: "unseen" }, `${words("you")} `), text ?? "…");
  }

  /** Take the turn's own bubble away: nothing was said after all. */
  forget() {
    if (this.#said.classList.contains("pending")) this.#said.hidden = true;
  }

  write(piece) {
    this.#show();
    this.answer.write(piece);
  }

  /** @param {string} message a sentence for people */
  fail(message) {
    this.#show();
    this.#mishaps.set(message, (this.#mishaps.get(message) ?? 0) + 1);
    this.#arrange();
  }

  interrupted() {
    this.isOver = this.#interrupted = true;
    this.translate();
  }

  /** Learn that the answer broke off where `message` says why. */
  abandon(message) {
    if (this.isOver) return;
    this.isOver = true;
    this.answer.speak(-1);
    this.fail(message);
  }

  done(metrics) {
    this.isOver = true;
    this.metrics = metrics;
    this.translate();
  }

  get repaired() {
    const spoken = this.metrics.sentences.filter((sentence) => sentence.audio_ms > 0);
    return spoken.reduce((sum, { faults }) => sum + faults.length, 0);
  }

  /** Say in the language of the page what is about the turn, not in it. */
  translate() {
    this.#cut.hidden = !this.#interrupted;
    this.#cut.textContent = words("interrupted");
    if (this.metrics !== null) {
      const { first_audio_ms: sentMs } = this.metrics;
      const parts = [words("see-turn")];
      if (this.heardMs !== null) parts[0] = words("first-sound", { time: seconds(this.heardMs) });
      else if (sentMs !== null) parts[0] = words("first-sent", { time: seconds(sentMs) });
      if (this.repaired) parts.push(words("repaired", { count: number(this.repaired) }));
      this.#chip.textContent = parts.join(" · ");
      this.#chip.title = words("see-turn");
      this.#chip.hidden = false;
    }
    if (this.#interrupted || this.metrics !== null) this.#show();
  }

  #show() {
    if (!this.#reply.hidden) return;
    this.#reply.hidden = false;
    this.#arrange();
  }

  #arrange() {
    const who = make("span", { class: "unseen" }, `${words("agent")} `);
    const about = make("div", { class: "about" }, this.#cut, this.#chip);
    const mishaps = Array.from(this.#mishaps, ([message, count]) =>
      make("p", { class: "mishap", dir: "auto" }, count > 1 ? `${message} ×${number(count)}` : message));
    this.#reply.replaceChildren(who, this.answer.element, ...mishaps, about);
  }
}
