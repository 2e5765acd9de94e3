import { NabraProblem } from "./problem.js";
import { addWorklet } from "./worklet.js";

/** How long a browser may take to let a page sound, once it has been asked from a gesture. */
const UNLOCK_MS = 1500;

/**
 * The way to the loudspeaker: an AudioContext, and the worklet that plays the answer in it.
 *
 * @fires playing, tick and idle, as `playback.js` posts them; `locked` when the system silences us
 */
export class Speaker extends EventTarget {
  /** @type {AudioContext | null} */
  context = null;
  /** What is played: an AudioNode to listen in to. @type {GainNode | null} */
  output = null;
  #node = null;
  #opening = null;
  #early = [];
  #wanted = false;

  /** Make the page sound. Begin this in a user's gesture; it may be called again. */
  async unlock() {
    this.#wanted = true;
    this.#opening ??= this.#open().catch((problem) => {
      this.#opening = null;
      throw problem;
    });
    // Before any await, or the gesture is over. A phone call has it rejected: the state tells.
    const resumed = this.context?.resume().catch(() => {});
    await this.#opening;
    await Promise.race([resumed, new Promise((resolve) => setTimeout(resolve, UNLOCK_MS))]);
    if (this.context.state !== "running") throw new NabraProblem("audio-locked");
  }

  /** Whether there is a way for sound; what is played before is lost. */
  get isOpen() {
    return this.#opening !== null;
  }

  /** @param {Float32Array} samples @param {{connection, turn, index, rate}} of */
  play(samples, of) {
    this.#tell({ type: "audio", samples, ...of }, [samples.buffer]);
  }

  /** Say that nothing more of this turn comes. */
  end() {
    this.#tell({ type: "end" });
  }

  /** Drop what waits, and fade out what sounds. */
  flush() {
    this.#early = [];
    this.#tell({ type: "flush" });
  }

  /** Let the system have the loudspeaker back. */
  rest() {
    this.#wanted = false;
    return this.context?.suspend();
  }

  /** Go on after `rest`, or after the system took the loudspeaker away. */
  wake() {
    this.#wanted = true;
    if (this.context === null || this.context.state === "running") return undefined;
    return this.context.resume().catch(() => this.#changed());
  }

  #tell(message, transfer = []) {
    if (this.#node !== null) this.#node.port.postMessage(message, transfer);
    else if (this.isOpen) this.#early.push(message); // until the worklet is loaded
  }

  async #open() {
    if (!globalThis.isSecureContext) throw new NabraProblem("insecure-context");
    if (!globalThis.AudioWorkletNode) throw new NabraProblem("unsupported-browser");
    this.context ??= this.#makeContext();
    const context = this.context;
    await addWorklet(context, "playback.js");
    this.#node = new AudioWorkletNode(context, "nabra-playback", {
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    this.#node.port.onmessage = ({ data }) => {
      this.dispatchEvent(new CustomEvent(data.type, { detail: data }));
    };
    this.output = new GainNode(context);
    this.#node.connect(this.output).connect(context.destination);
    for (const message of this.#early.splice(0)) this.#tell(message);
  }

  #makeContext() {
    const context = new AudioContext({ latencyHint: "interactive" });
    context.addEventListener("statechange", () => this.#changed());
    // A call, another app or a lock screen may have silenced us; phones ask for a new gesture.
    const wake = () => this.#wanted && this.wake();
    for (const gesture of ["pointerup", "keydown"]) {
      document.addEventListener(gesture, wake, { capture: true, passive: true });
    }
    document.addEventListener("visibilitychange", () => document.hidden || wake());
    return context;
  }

  #changed() {
    if (this.#wanted && this.#node !== null && this.context.state !== "running") {
      this.dispatchEvent(new Event("locked"));
    }
  }
}
