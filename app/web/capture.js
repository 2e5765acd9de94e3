/** The microphone's AudioWorklet: any rate in, frames of 16 kHz PCM16 out. */
import { Resampler } from "./resample.js";

const RATE_HZ = 16000;

/** 32 ms: short enough to lose no time, long enough to cost little; the step of many detectors. */
const FRAME_SAMPLES = 512;

class Capture extends AudioWorkletProcessor {
  #resampler = new Resampler(sampleRate, RATE_HZ);
  #frame = new Int16Array(FRAME_SAMPLES);
  #filled = 0;
  #peak = 0;
  #stopped = false;

  constructor() {
    super();
    this.port.onmessage = () => this.#stop(); // there is but one thing to say
  }

  process([[input]]) {
    if (this.#stopped) return false;
    for (const sample of input ?? []) this.#resampler.push(sample, this.#keep);
    return true;
  }

  #keep = (sample) => {
    const bounded = Math.max(-1, Math.min(1, sample));
    this.#peak = Math.max(this.#peak, Math.abs(bounded));
    this.#frame[this.#filled++] = bounded * 32767;
    if (this.#filled === FRAME_SAMPLES) this.#send();
  };

  #send(last = false) {
    const audio = this.#frame.slice(0, this.#filled).buffer;
    this.port.postMessage({ audio, level: this.#peak, last }, [audio]);
    this.#filled = this.#peak = 0;
  }

  #stop() {
    this.#stopped = true;
    this.#send(true);
  }
}

registerProcessor("nabra-capture", Capture);
