/** @import { MicrophoneEvents, MicrophoneFrame } from "./types" */
/** @import { ProblemCode } from "./problem.js" */
import { Emitter } from "./emitter.js";
import { NabraProblem } from "./problem.js";
import { addWorklet } from "./worklet.js";

/** By the name of what `getUserMedia` throws. @type {Record<string, ProblemCode>} */
const PROBLEM_BY_ERROR = {
  NotAllowedError: "microphone-denied",
  SecurityError: "microphone-denied",
  NotFoundError: "no-microphone",
  OverconstrainedError: "no-microphone",
  NotReadableError: "microphone-busy",
  AbortError: "microphone-busy",
};

/** How long the worklet may take to deliver its last frame. */
const LAST_FRAME_TIMEOUT_MS = 250;

/**
 * The microphone as frames of 16 kHz PCM16; "lost" when the device is gone and no other took over.
 *
 * @extends {Emitter<MicrophoneEvents>}
 */
export class Microphone extends Emitter {
  /** @type {MicrophoneCapture | null} */
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

  /** Turn it off; resolves when the last frame has been delivered. */
  async stop() {
    const capture = this.#capture;
    this.#capture = null;
    await capture?.close();
  }

  /** @param {() => Promise<AudioContext>} getContext @param {Promise<void>} [previousClosed] */
  #open(getContext, previousClosed) {
    const onFrame = (/** @type {MicrophoneFrame} */ frame) => this.emit("frame", frame);
    const capture = new MicrophoneCapture(getContext, onFrame, previousClosed);
    capture.onLost = () => this.#reopen(capture, getContext);
    return capture;
  }

  /**
   * Switch to the device that there is now: a headset was unplugged, or the default has changed.
   *
   * @param {MicrophoneCapture} capture @param {() => Promise<AudioContext>} getContext
   */
  async #reopen(capture, getContext) {
    if (this.#capture !== capture) return;
    // Replaced before any await, so that a `stop` in the meantime stops the new one.
    this.#capture = this.#open(getContext, capture.close());
    try {
      await this.start(getContext);
    } catch (problem) {
      this.emit("lost", /** @type {NabraProblem} */ (problem));
    }
  }
}

/** One opened device. */
class MicrophoneCapture {
  onLost = () => {};
  #closed = false;
  /** @type {MediaStream | undefined} */
  #stream;
  /** @type {AudioNode | null} */
  #source = null;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  #onFrame;
  #onLastFrame = () => {};

  /**
   * @param {() => Promise<AudioContext>} getContext
   * @param {(frame: MicrophoneFrame) => void} onFrame
   * @param {Promise<void>} [previousClosed]
   */
  constructor(getContext, onFrame, previousClosed) {
    this.#onFrame = onFrame;
    this.opened = this.#open(getContext, previousClosed);
  }

  /** @param {() => Promise<AudioContext>} getContext @param {Promise<void>} [previousClosed] */
  async #open(getContext, previousClosed) {
    if (previousClosed) await previousClosed;
    if (this.#closed) return;
    // Both at once: browsers allow only what begins within the gesture.
    const [stream, context] = await Promise.allSettled([getStream(), getContext()]);
    if (stream.status === "fulfilled") this.#stream = stream.value;
    try {
      if (stream.status === "rejected") throw stream.reason;
      if (context.status === "rejected") throw context.reason;
      if (!this.#closed) await this.#connect(context.value, stream.value);
    } catch (problem) {
      this.#release();
      throw problem;
    }
    if (this.#closed) this.#release(); // closed while it was opening
  }

  /** @param {AudioContext} context @param {MediaStream} stream */
  async #connect(context, stream) {
    await addWorklet(context, "capture.js");
    if (this.#closed) return;
    const node = new AudioWorkletNode(context, "nabra-capture", { outputChannelCount: [1] });
    node.port.onmessage = ({ data }) => {
      if (data.audio.byteLength > 0) this.#onFrame(data);
      if (data.last) this.#onLastFrame();
    };
    this.#node = node;
    this.#source = new MediaStreamAudioSourceNode(context, { mediaStream: stream });
    // The node's output is silent, but a node that leads nowhere is not run.
    this.#source.connect(node).connect(context.destination);
    stream.getAudioTracks()[0].addEventListener("ended", () => this.onLost());
    navigator.mediaDevices.addEventListener("devicechange", this.#onDevicesChanged);
  }

  /** Turn it off; resolves when the last frame has been delivered. */
  async close() {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#node !== null) {
      const last = new Promise((resolve) => (this.#onLastFrame = () => resolve(null)));
      this.#node.port.postMessage("stop");
      const timeout = new Promise((resolve) => setTimeout(resolve, LAST_FRAME_TIMEOUT_MS));
      await Promise.race([last, timeout]);
    }
    this.#release();
  }

  #release() {
    navigator.mediaDevices?.removeEventListener("devicechange", this.#onDevicesChanged);
    this.#source?.disconnect();
    this.#node?.disconnect();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
  }

  #onDevicesChanged = () => {
    const track = this.#stream?.getAudioTracks()[0];
    if (track?.muted || track?.readyState === "ended") this.onLost();
  };
}

async function getStream() {
  if (!globalThis.isSecureContext) throw new NabraProblem("insecure-context");
  if (!navigator.mediaDevices?.getUserMedia) throw new NabraProblem("unsupported-browser");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    throw new NabraProblem(PROBLEM_BY_ERROR[name] ?? "microphone-busy", String(error));
  }
}
