/** The microphone's AudioWorklet: takes audio of any rate, gives frames of 16 kHz PCM16. */
import { Resampler } from "./resample.js";

const RATE_HZ = 16000;

/** 32 ms: adds little latency, costs little, and is the step of many voice activity detectors. */
const FRAME_SAMPLES = 512;

class CaptureProcessor extends AudioWorkletProcessor {
  #resampler = new Resampler(sampleRate, RATE_HZ);
  #frame = new Int16Array(FRAME_SAMPLES);
  #filled = 0;
  #peak = 0;
  #stopped = false;

  constructor() {
    super();
    this.port.onmessage = () => this.#stop(); // the only message is "stop"
  }

  /** @param {Float32Array[][]} inputs */
  process([[input]]) {
    if (this.#stopped) return false;
    for (const sample of input ?? []) this.#resampler.push(sample, this.#addSample);
    return true;
  }

  /** @param {number} sample */
  #addSample = (sample) => {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.#peak = Math.max(this.#peak, Math.abs(clipped));
    this.#frame[this.#filled++] = clipped * 32767;
    if (this.#filled === FRAME_SAMPLES) this.#postFrame();
  };

  #postFrame(last = false) {
    const audio = this.#frame.slice(0, this.#filled).buffer;
    this.port.postMessage({ audio, level: this.#peak, last }, [audio]);
    this.#filled = this.#peak = 0;
  }

  #stop() {
    this.#stopped = true;
    this.#postFrame(true);
  }
}

registerProcessor("nabra-capture", CaptureProcessor);
