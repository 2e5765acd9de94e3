/** Hold, tap, press Space, or leave the microphone on: how the user speaks. */

import { find } from "./elements.js";
import { whenLanguageChanges, words } from "./language.js";

/** A press so long is held, and ends when it is let go; a shorter one is a tap, and stays on. */
const HOLD_MS = 350;

/**
 * @fires change something that the status line shows; problem with the `NabraProblem` of a
 *   microphone that cannot be had
 */
export class Talk extends EventTarget {
  /** @type {"off" | "opening" | "listening"} */
  state = "off";
  isHandsFree = false;
  #nabra;
  #conversation;
  #button = find("microphone");
  #switch = find("hands-free");
  #pressedAt = -Infinity;
  #held = false;
  #clickFollows = false;
  #ends = null;

  constructor(nabra, conversation) {
    super();
    this.#nabra = nabra;
    this.#conversation = conversation;
    this.#watchPointer();
    this.#watchKeys();
    this.#switch.addEventListener("change", () => this.#setHandsFree(this.#switch.checked));
    for (const type of ["problem", "state"]) nabra.addEventListener(type, () => this.#check());
    whenLanguageChanges(() => this.#show());
  }

  /** Stop listening; what was said is not sent. */
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
      // From Enter, or from a screen reader, which presses nothing.
      if (detail === 0 || !this.#clickFollows) this.#toggle();
      this.#clickFollows = false;
    });
  }

  #watchKeys() {
    document.addEventListener("keydown", (event) => {
      if (event.code !== "Space" || !this.#mayTake(event)) return;
      event.preventDefault();
      if (!event.repeat) this.#press();
    });
    document.addEventListener("keyup", (event) => {
      if (event.code !== "Space" || !this.#held) return;
      event.preventDefault(); // or the button takes it for a click
      this.#release();
    });
    addEventListener("blur", () => this.#release()); // who lets go now, lets go elsewhere
  }

  /** Space belongs to whatever has the focus, if that does something with it. */
  #mayTake({ target, ctrlKey, altKey, metaKey }) {
    if (ctrlKey || altKey || metaKey || find("composer").hidden || find("talk").inert) return false;
    return target === this.#button || !target.closest("button, input, select, textarea, summary, a");
  }

  #press() {
    this.#pressedAt = performance.now();
    this.#held = true;
    if (this.state !== "off") {
      this.#held = false;
      this.#toggle();
    } else {
      this.#begin();
    }
  }

  #release() {
    if (!this.#held) return;
    this.#held = false;
    if (performance.now() - this.#pressedAt < HOLD_MS) return;
    this.#finish({ send: true });
  }

  #toggle() {
    if (this.isHandsFree) return this.#setHandsFree(false);
    if (this.state === "off") return this.#begin();
    return this.#finish({ send: true });
  }

  async #begin() {
    if (this.#conversation.isBusy) this.#nabra.interrupt();
    if (!(await this.#open())) return;
    this.#conversation.expect(null);
    if (this.#ends !== null) await this.#finish(this.#ends); // let go while the browser was asking
  }

  async #open() {
    this.#become("opening");
    this.#ends = null;
    try {
      await this.#nabra.startMicrophone();
    } catch (problem) {
      this.#held = false;
      this.#become("off");
      this.dispatchEvent(new CustomEvent("problem", { detail: problem }));
      return false;
    }
    this.#become("listening");
    return true;
  }

  async #finish(how) {
    if (this.state === "off") return;
    if (this.state === "opening") {
      this.#ends = how;
      return;
    }
    this.#become("off");
    if (how.send) this.#conversation.finishSpeaking();
    else this.#conversation.withdraw();
    const isSent = await this.#nabra.stopMicrophone(how);
    // Too short, or not connected.
    if (how.send && !isSent && this.state === "off") this.#conversation.withdraw();
  }

  /** The device is gone, or the conversation is over: the button must not say that we listen. */
  async #check() {
    if (this.state !== "listening" || this.#nabra.listening) return;
    if (this.isHandsFree) await this.#setHandsFree(false);
    else await this.#finish({ send: false });
  }

  async #setHandsFree(on) {
    this.#switch.disabled = true;
    try {
      if (on) {
        if (this.state !== "off") await this.#finish({ send: false });
        await this.#nabra.configure({ turn_detection: "server_vad" });
        this.isHandsFree = await this.#open();
      } else {
        this.isHandsFree = false;
        this.#become("off");
        await this.#nabra.stopMicrophone({ send: false });
        this.#conversation.withdraw();
      }
      if (!this.isHandsFree) await this.#nabra.configure({ turn_detection: "none" });
    } catch {
      this.isHandsFree = false;
      const detail = { code: "no-hands-free" };
      this.dispatchEvent(new CustomEvent("problem", { detail }));
    } finally {
      this.#switch.disabled = false;
      this.#switch.checked = this.isHandsFree;
      this.#show();
    }
  }

  #become(state) {
    this.state = state;
    this.#show();
  }

  #show() {
    this.#button.setAttribute("aria-pressed", String(this.state !== "off"));
    this.#button.setAttribute("aria-label", words("talk"));
    this.dispatchEvent(new Event("change"));
  }
}
