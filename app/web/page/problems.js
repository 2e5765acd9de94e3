/** Shows the problems of a conversation as notices, and hides them when they are over. */

/** @import { Nabra } from "../nabra.js" */
/** @import { ProblemDetail } from "../types" */
/** @import { TokenForm } from "./token-form.js" */
import { NabraProblem } from "../nabra.js";
import { announce } from "./announcer.js";
import { translate } from "./language.js";
import { hideNotices, isNoticeShown, showNotice } from "./notices.js";

/** Typing works in spite of these. */
const MICROPHONE_PROBLEMS = [
  "no-microphone", "microphone-denied", "microphone-busy", "no-hands-free",
];
const BROWSER_PROBLEMS = ["insecure-context", "unsupported-browser"];
const CONNECTION_PROBLEMS = [
  "connection-lost", "server-draining", "too-busy", "refused", "origin-not-allowed",
];

export class Problems {
  #nabra;
  #tokenForm;
  /** Whether this browser can play no sound here at all. */
  #isMute = false;

  /** @param {Nabra} nabra @param {TokenForm} tokenForm */
  constructor(nabra, tokenForm) {
    this.#nabra = nabra;
    this.#tokenForm = tokenForm;
    nabra.on("problem", (problem) => this.#onProblem(problem));
    nabra.on("playing", () => hideNotices("audio-locked"));
    nabra.on("state", ({ state }) => {
      if (state !== "open") return;
      hideNotices(...CONNECTION_PROBLEMS, "not-sent");
      tokenForm.hide();
      announce(translate("state-open"));
    });
  }

  /** @param {ProblemDetail} problem */
  #onProblem(problem) {
    if (problem.code === "refused" && this.#tokenForm.onRefused(problem)) {
      hideNotices(...CONNECTION_PROBLEMS);
    } else if (problem.gatewayCode === "origin-not-allowed") {
      this.show("origin-not-allowed");
    } else {
      this.show(problem.code);
    }
  }

  /** @param {string} code */
  show(code) {
    if (code === "closed" || (code === "audio-locked" && this.#isMute)) return;
    if (BROWSER_PROBLEMS.includes(code)) this.#isMute = true;
    if (code === "audio-locked") {
      showNotice(code, { action: { label: "turn-sound-on", run: () => this.unlock() } });
    } else if (CONNECTION_PROBLEMS.includes(code)) {
      this.#showConnectionProblem(code);
    } else {
      showNotice(code, { detail: "go-on-typing" });
    }
  }

  /**
   * A reason that the gateway gave stays, though then it cannot be reached either.
   *
   * @param {string} code
   */
  #showConnectionProblem(code) {
    if (code === "connection-lost" && CONNECTION_PROBLEMS.some(isNoticeShown)) return;
    hideNotices(...CONNECTION_PROBLEMS);
    // `connect` alone: `close` would turn the microphone off.
    const run = () => this.#nabra.connect().catch(() => {});
    showNotice(code, { action: { label: "try-again", run } });
  }

  /** Hide what a working microphone has settled. */
  hideMicrophoneProblems() {
    hideNotices(...MICROPHONE_PROBLEMS, "audio-locked");
  }

  /** Start the audio; where that is impossible, say so and continue in writing. */
  async unlock() {
    if (this.#isMute) return;
    try {
      await this.#nabra.unlock();
      hideNotices("audio-locked");
    } catch (problem) {
      this.show(/** @type {NabraProblem} */ (problem).code);
    }
  }
}
