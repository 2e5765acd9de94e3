/** @import { Nabra } from "../nabra.js" */
/** @import { ConversationView } from "./conversation-view.js" */
import { Emitter } from "../emitter.js";
import { find } from "./elements.js";
import { onLanguageChange, translate } from "./language.js";

/** A press this long is a hold, and ends on release; a shorter one is a tap, and stays on. */
const HOLD_MS = 350;

/**
 * The microphone button: hold, tap, press Space, or leave it on hands-free.
 *
 * Emits "change" when its state has changed, and "problem" when there is no microphone to be had.
 *
 * @extends {Emitter<{change: undefined, problem: {code: string}}>}
 */
export class PushToTalk extends Emitter {
  /** @type {"off" | "opening" | "listening"} */
  state = "off";
  isHandsFree = false;
  #nabra;
  #view;
  #button = find("microphone");
  #switch = find("hands-free");
  #pressedAt = -Infinity;
  #isHeld = false;
  #clickFollows = false;
  /** How to finish as soon as the microphone is open. @type {{send: boolean} | null} */
  #finishAfterOpening = null;

  /** @param {Nabra} nabra @param {ConversationView} view */
  constructor(nabra, view) {
    super();
    this.#nabra = nabra;
    this.#view = view;
    this.#watchPointer();
    this.#watchKeys();
    this.#switch.addEventListener("change", () => this.#setHandsFree(this.#switch.checked));
    nabra.on("problem", () => this.#checkMicrophone());
    nabra.on("state", () => this.#checkMicrophone());
    onLanguageChange(() => this.#render());
  }

  /** Stop listening, and discard the utterance. */
  async cancel() {
    if (this.isHandsFree) return this.#setHandsFree(false);
    return this.#finish({ send: false });
  }

  #watchPointer() {
    const button = this.#button;
    button.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      this.#clickFollows = true;
      this.#press();
    });
    button.addEventListener("pointerup", () => this.#release());
    button.addEventListener("pointercancel", () => this.#release());
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // of a long press
    button.addEventListener("click", ({ detail }) => {
      // From Enter or a screen reader, which send no pointer events.
      if (detail === 0 || !this.#clickFollows) this.#toggle();
      this.#clickFollows = false;
    });
  }

  #watchKeys() {
    document.addEventListener("keydown", (event) => {
      if (event.code !== "Space" || !this.#isSpaceOurs(event)) return;
      event.preventDefault();
      if (!event.repeat) this.#press();
    });
    document.addEventListener("keyup", (event) => {
      if (event.code !== "Space" || !this.#isHeld) return;
      event.preventDefault(); // or the button would be clicked
      this.#release();
    });
    addEventListener("blur", () => this.#release()); // the release will happen in another window
  }

  /**
   * Tell whether Space starts talking: not where the focused element uses it.
   *
   * @param {KeyboardEvent} event
   */
  #isSpaceOurs({ target, ctrlKey, altKey, metaKey }) {
    if (ctrlKey || altKey || metaKey || find("composer").hidden) return false;
    if (find("conversation-column").inert) return false;
    if (target === this.#button) return true;
    const element = /** @type {Element} */ (target);
    return !element.closest("button, input, select, textarea, summary, a");
  }

  #press() {
    this.#pressedAt = performance.now();
    this.#isHeld = this.state === "off";
    if (this.#isHeld) this.#start();
    else this.#toggle();
  }

  #release() {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    if (performance.now() - this.#pressedAt >= HOLD_MS) this.#finish({ send: true });
  }

  #toggle() {
    if (this.isHandsFree) return this.#setHandsFree(false);
    if (this.state === "off") return this.#start();
    return this.#finish({ send: true });
  }

  async #start() {
    if (this.#view.isBusy) this.#nabra.interrupt();
    if (!(await this.#open())) return;
    this.#view.addPending(null);
    // Released while the browser was asking for permission.
    if (this.#finishAfterOpening !== null) await this.#finish(this.#finishAfterOpening);
  }

  async #open() {
    this.#setState("opening");
    this.#finishAfterOpening = null;
    try {
      await this.#nabra.startMicrophone();
    } catch (problem) {
      this.#isHeld = false;
      this.#setState("off");
      this.emit("problem", /** @type {{code: string}} */ (problem));
      return false;
    }
    this.#setState("listening");
    return true;
  }

  /** @param {{send: boolean}} how */
  async #finish(how) {
    if (this.state === "off") return;
    if (this.state === "opening") {
      this.#finishAfterOpening = how;
      return;
    }
    this.#setState("off");
    if (how.send) this.#view.finishPending();
    else this.#view.removePending();
    const isSent = await this.#nabra.stopMicrophone(how);
    // Nothing was streamed: it was too short, or there is no connection.
    if (how.send && !isSent && this.#isOff()) this.#view.removePending();
  }

  #isOff() {
    return this.state === "off";
  }

  /** Turn the button off when the device is gone or the connection is closed. */
  async #checkMicrophone() {
    if (this.state !== "listening" || this.#nabra.listening) return;
    await this.cancel();
  }

  /** @param {boolean} on */
  async #setHandsFree(on) {
    this.#switch.disabled = true;
    try {
      await (on ? this.#startHandsFree() : this.#stopHandsFree());
      if (!this.isHandsFree) await this.#nabra.configure({ turn_detection: "none" });
    } catch {
      this.isHandsFree = false;
      this.emit("problem", { code: "no-hands-free" });
    } finally {
      this.#switch.disabled = false;
      this.#switch.checked = this.isHandsFree;
      this.#render();
    }
  }

  async #startHandsFree() {
    if (this.state !== "off") await this.#finish({ send: false });
    await this.#nabra.configure({ turn_detection: "server_vad" });
    this.isHandsFree = await this.#open();
  }

  async #stopHandsFree() {
    this.isHandsFree = false;
    this.#setState("off");
    await this.#nabra.stopMicrophone({ send: false });
    this.#view.removePending();
  }

  /** @param {"off" | "opening" | "listening"} state */
  #setState(state) {
    this.state = state;
    this.#render();
  }

  #render() {
    this.#button.setAttribute("aria-pressed", String(this.state !== "off"));
    this.#button.setAttribute("aria-label", translate("talk"));
    this.emit("change", undefined);
  }
}
