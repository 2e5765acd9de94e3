/** @import { TurnMetrics } from "../types" */
import { make } from "./elements.js";
import { formatNumber, formatSeconds, translate } from "./language.js";
import { ResponseText } from "./response-text.js";

/** A turn whose metrics have come. @typedef {TurnView & {metrics: TurnMetrics}} FinishedTurn */

/** One turn on the page: what the user said, the response, and what became of it. */
export class TurnView {
  /** When the user finished, by the page's clock. @type {number | null} */
  userStoppedAt = null;
  /** When the first sound was played, by the page's clock. @type {number | null} */
  firstPlayedAt = null;
  /** @type {TurnMetrics | null} */
  metrics = null;
  response = new ResponseText();
  /** Whether it was interrupted while the gateway was still producing it. */
  isIncomplete = false;
  #isOver = false;
  #isInterrupted = false;
  /** How often each error came. @type {Map<string, number>} */
  #errors = new Map();
  /** Not known while the user speaks. @type {string | null} */
  #userText = null;
  #userBubble = make("p", { class: "user-text", dir: "auto" });
  #responseBubble = make("div", { class: "response", hidden: true });
  #chip = make("button", { class: "chip", type: "button", hidden: true });
  #interruptedLabel = make("span", { class: "interrupted", hidden: true });

  /** @param {string | null} userText @param {(turn: TurnView) => void} onSelect */
  constructor(userText, onSelect) {
    this.element = make("article", { class: "turn" }, this.#userBubble, this.#responseBubble);
    this.#chip.addEventListener("click", () => onSelect(this));
    this.setUserText(userText);
  }

  /** From the end of the user's speech to the first sound, as measured here. */
  get firstSoundMs() {
    if (this.firstPlayedAt === null || this.userStoppedAt === null) return null;
    // Hands-free, the end is known only after a pause, which the gateway has measured.
    return this.firstPlayedAt - this.userStoppedAt + (this.metrics?.endpointing_ms ?? 0);
  }

  /** Whether there is nothing to show: the user only made a pause. */
  get isEmpty() {
    return this.userText === "" && this.response.text === "" && this.#errors.size === 0;
  }

  get userText() {
    return this.#userText ?? "";
  }

  /** @param {string | null} text null while it is not known */
  setUserText(text) {
    this.#userText = text;
    this.#userBubble.classList.toggle("pending", text === null);
    const label = make("bdi", { class: "visually-hidden" }, `${translate("you")} `);
    this.#userBubble.replaceChildren(label, text ?? "…");
  }

  /** Hide the user's bubble if nothing was said after all. */
  hidePending() {
    if (this.#userText === null) this.#userBubble.hidden = true;
  }

  /** @param {string} token */
  appendToken(token) {
    this.#showResponse();
    this.response.append(token);
  }

  /** @param {string} message fit for people */
  addError(message) {
    this.#showResponse();
    this.#errors.set(message, (this.#errors.get(message) ?? 0) + 1);
    this.#renderResponse();
  }

  setInterrupted() {
    this.#isOver = this.#isInterrupted = true;
    this.render();
  }

  /** End a turn that nothing more will come of. @param {string} message why, fit for people */
  abort(message) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.response.setSpeaking(-1);
    this.addError(message);
  }

  /** @param {TurnMetrics} metrics */
  finish(metrics) {
    this.#isOver = true;
    this.metrics = metrics;
    this.render();
  }

  /** Write, in the page's language, what is about the turn. */
  render() {
    this.#interruptedLabel.hidden = !this.#isInterrupted;
    this.#interruptedLabel.textContent = translate("interrupted");
    if (this.metrics !== null) {
      this.#chip.textContent = this.#summary(this.metrics);
      this.#chip.title = translate("see-turn");
      this.#chip.hidden = false;
    }
    if (this.#isInterrupted || this.metrics !== null) this.#showResponse();
  }

  /** @param {TurnMetrics} metrics */
  #summary({ first_audio_ms: sentMs, sentences }) {
    let summary = translate("see-turn");
    if (this.firstSoundMs !== null) {
      summary = translate("first-sound", { time: formatSeconds(this.firstSoundMs) });
    } else if (sentMs !== null) {
      summary = translate("first-sent", { time: formatSeconds(sentMs) });
    }
    const spoken = sentences.filter((sentence) => sentence.audio_ms > 0);
    const repaired = spoken.reduce((sum, { faults }) => sum + faults.length, 0);
    if (repaired === 0) return summary;
    return `${summary} · ${translate("repaired", { count: formatNumber(repaired) })}`;
  }

  #showResponse() {
    if (!this.#responseBubble.hidden) return;
    this.#responseBubble.hidden = false;
    this.#renderResponse();
  }

  #renderResponse() {
    const label = make("span", { class: "visually-hidden" }, `${translate("agent")} `);
    const about = make("div", { class: "about" }, this.#interruptedLabel, this.#chip);
    const errors = Array.from(this.#errors, ([message, count]) => {
      const text = count > 1 ? `${message} ×${formatNumber(count)}` : message;
      return make("p", { class: "turn-error", dir: "auto" }, text);
    });
    this.#responseBubble.replaceChildren(label, this.response.element, ...errors, about);
  }
}
