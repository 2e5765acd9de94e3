import { NabraProblem } from "./problem.js";
import { addWorklet } from "./worklet.js";

/** What `getUserMedia` throws, and what it means. */
const PROBLEMS = {
  NotAllowedError: "microphone-denied",
  SecurityError: "microphone-denied",
  NotFoundError: "no-microphone",
  OverconstrainedError: "no-microphone",
  NotReadableError: "microphone-busy",
  AbortError: "microphone-busy",
};

/** How long the worklet may take to hand over what it has not sent yet. */
const LAST_FRAME_MS = 250;

/**
 * The microphone as frames of 16 kHz PCM16.
 *
 * @fires frame `{audio: ArrayBuffer, level}`; `lost` when the device went away and none took over
 */
export class Microphone extends EventTarget {
  /** @type {Capture | null} */
  #capture = null;

  /** Whether it is on, or about to be. */
  get isOn() {
    return this.#capture !== null;
  }

  /** Turn it on. @param {() => Promise<AudioContext>} getContext called at once, in the gesture */
  async start(getContext) {
    this.#capture ??= this.#open(getContext);
    const capture = this.#capture;
    try {
      await capture.opened;
    } catch (problem) {
      if (this.#capture === capture) this.#capture = null;
      throw problem;
    }
  }

  /** Turn it off; resolves when the last frame has been handed over. */
  async stop() {
    const capture = this.#capture;
    this.#capture = null;
    await capture?.close();
  }

  #open(getContext, before) {
    const hand = (frame) => this.dispatchEvent(new CustomEvent("frame", { detail: frame }));
    const capture = new Capture(getContext, hand, before);
    capture.onlost = () => this.#reopen(capture, getContext);
    return capture;
  }

  /** A headset was unplugged, or another one became the system's choice: take what there is now. */
  async #reopen(capture, getContext) {
    if (this.#capture !== capture) return;
    // In its place at once: whoever stops the microphone meanwhile stops this one.
    this.#capture = this.#open(getContext, capture.close());
    try {
      await this.start(getContext);
    } catch (problem) {
      this.dispatchEvent(new CustomEvent("lost", { detail: problem }));
    }
  }
}

/** One opened device. */
class Capture {
  onlost = () => {};
  #closed = false;
  #stream = null;
  #source = null;
  #node = null;
  #onframe;
  #onlast = () => {};

  constructor(getContext, onframe, before) {
    this.#onframe = onframe;
    this.opened = this.#open(getContext, before);
  }

  async #open(getContext, before) {
    if (before) await before;
    if (this.#closed) return;
    // both at once: a gesture counts for what is begun in it
    const [stream, context] = await Promise.allSettled([getStream(), getContext()]);
    this.#stream = stream.value;
    try {
      for (const { reason } of [stream, context]) if (reason) throw reason;
      if (!this.#closed) await this.#listen(context.value);
    } catch (problem) {
      this.#release();
      throw problem;
    }
    if (this.#closed) this.#release(); // stopped before it had begun
  }

  async #listen(context) {
    await addWorklet(context, "capture.js");
    if (this.#closed) return;
    this.#node = new AudioWorkletNode(context, "nabra-capture", { outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => {
      if (data.audio.byteLength > 0) this.#onframe(data);
      if (data.last) this.#onlast();
    };
    this.#source = new MediaStreamAudioSourceNode(context, { mediaStream: this.#stream });
    this.#source.connect(this.#node).connect(context.destination); // silent, but so it is run
    const [track] = this.#stream.getAudioTracks();
    track.addEventListener("ended", () => this.onlost());
    navigator.mediaDevices.addEventListener("devicechange", this.#devicesChanged);
  }

  /** Turn it off; resolves when the last frame has been handed over. */
  async close() {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#node !== null) {
      const last = new Promise((resolve) => (this.#onlast = resolve));
      this.#node.port.postMessage("stop");
      await Promise.race([last, new Promise((resolve) => setTimeout(resolve, LAST_FRAME_MS))]);
    }
    this.#release();
  }

  #release() {
    navigator.mediaDevices?.removeEventListener("devicechange", this.#devicesChanged);
    this.#source?.disconnect();
    this.#node?.disconnect();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
  }

  #devicesChanged = () => {
    const [track] = this.#stream.getAudioTracks();
    if (track.muted || track.readyState === "ended") this.onlost();
  };
}

async function getStream() {
  if (!globalThis.isSecureContext) throw new NabraProblem("insecure-context");
  if (!navigator.mediaDevices?.getUserMedia) throw new NabraProblem("unsupported-browser");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new NabraProblem(PROBLEMS[error.name] ?? "microphone-busy", String(error));
  }
}
