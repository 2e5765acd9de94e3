/** @import { AudioChunk, PlaybackCommand, SpeakerEvents } from "./types" */
import { Emitter } from "./emitter.js";
import { NabraProblem } from "./problem.js";
import { addWorklet } from "./worklet.js";

/** How long a browser may take to start the audio after a gesture. */
const UNLOCK_TIMEOUT_MS = 1500;

/**
 * The loudspeaker: an AudioContext, and the worklet that plays responses in it.
 *
 * Emits what `playback.js` posts, and "locked" when the system stops the audio.
 *
 * @extends {Emitter<SpeakerEvents>}
 */
export class Speaker extends Emitter {
  /** @type {AudioContext | null} */
  context = null;
  /** Carries all that is played. @type {GainNode | null} */
  output = null;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  /** @type {Promise<AudioContext> | null} */
  #opening = null;
  /** Commands from before the worklet was loaded. @type {PlaybackCommand[]} */
  #pending = [];
  #isWanted = false;

  /** Start the audio. Call it in a user's gesture; it may be called again. */
  async unlock() {
    this.#isWanted = true;
    this.#opening ??= this.#open().catch((problem) => {
      this.#opening = null;
      throw problem;
    });
    // Before any await, while the gesture lasts. It is rejected during phone calls, for example;
    // the context's state is checked below instead.
    const resumed = this.context?.resume().catch(() => {});
    const context = await this.#opening;
    await Promise.race([resumed, new Promise((resolve) => setTimeout(resolve, UNLOCK_TIMEOUT_MS))]);
    if (context.state !== "running") throw new NabraProblem("audio-locked");
    return context;
  }

  /** Whether audio is played or kept; before, it is lost. */
  get isOpen() {
    return this.#opening !== null;
  }

  /** @param {AudioChunk} chunk whose samples are transferred */
  play(chunk) {
    this.#post({ type: "audio", ...chunk }, [chunk.samples.buffer]);
  }

  /** Announce that no more audio of this turn follows. */
  end() {
    this.#post({ type: "end" });
  }

  /** Drop what is queued, and fade out what is playing. */
  flush() {
    this.#pending = [];
    this.#post({ type: "flush" });
  }

  /** Release the system's audio device. */
  suspend() {
    this.#isWanted = false;
    return this.context?.suspend();
  }

  /** Continue after `suspend`, or after the system stopped the audio. */
  resume() {
    this.#isWanted = true;
    if (this.context === null || this.context.state === "running") return undefined;
    return this.context.resume().catch(() => this.#onContextState());
  }

  /** @param {PlaybackCommand} command @param {Transferable[]} [transfer] */
  #post(command, transfer = []) {
    if (this.#node !== null) this.#node.port.postMessage(command, transfer);
    else if (this.isOpen) this.#pending.push(command);
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
      this.emit(/** @type {keyof SpeakerEvents} */ (data.type), data);
    };
    this.output = new GainNode(context);
    this.#node.connect(this.output).connect(context.destination);
    for (const command of this.#pending.splice(0)) this.#post(command);
    return context;
  }

  #makeContext() {
    const context = new AudioContext({ latencyHint: "interactive" });
    context.addEventListener("statechange", () => this.#onContextState());
    // A call, another app or the lock screen may have stopped us; phones ask for a new gesture.
    const resume = () => this.#isWanted && this.resume();
    for (const gesture of ["pointerup", "keydown"]) {
      document.addEventListener(gesture, resume, { capture: true, passive: true });
    }
    document.addEventListener("visibilitychange", () => document.hidden || resume());
    return context;
  }

  #onContextState() {
    if (this.#isWanted && this.#node !== null && this.context?.state !== "running") {
      this.emit("locked", undefined);
    }
  }
}
