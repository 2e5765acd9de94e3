/**
 * The loudspeaker's AudioWorklet: a queue of chunks of any rate, played without a seam.
 *
 * In: `{type: "audio", samples, rate, connection, turn, index}`, `{type: "end"}` (nothing more of
 * this turn comes) and `{type: "flush"}`. Out: `playing` when another sentence begins to sound,
 * `tick` every 50 ms with what was played, and `idle` when a turn has been played or flushed.
 */
import { Resampler } from "./resample.js";

/** How fast sound fades when it breaks off, and comes back: slow enough not to click. */
const RAMP_MS = 4;

/** What is gathered before a start, so that the next chunk may be a little late; never longer. */
const HOLD_MS = 60;

const TICK_MS = 50;

/** Silent samples after which the resampler has forgotten all that was not: it may rest. */
const FORGOTTEN = 256;

class Playback extends AudioWorkletProcessor {
  #queue = [];
  #offset = 0;
  #queuedMs = 0;
  #resampler = null;
  #rate = 0;

  /** The sentence that sounds, and what was played of its turn. */
  #now = null;
  #playedMs = 0;

  #holding = true;
  #heldMs = 0;
  #ended = false;
  #gain = 0;
  #last = 0;
  #fade = 0;
  #silent = FORGOTTEN;

  #peak = 0;
  #untilTickMs = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => this[data.type](data);
  }

  audio(chunk) {
    this.#queue.push(chunk);
    this.#queuedMs += (chunk.samples.length / chunk.rate) * 1000;
    this.#ended = false;
  }

  end() {
    this.#ended = true;
    if (this.#queue.length === 0) this.#finish();
  }

  flush() {
    this.#queue = [];
    this.#offset = this.#queuedMs = 0;
    this.#ended = true;
    this.#pause();
    this.#finish();
  }

  process(_inputs, [[output]]) {
    const elapsedMs = (output.length / sampleRate) * 1000;
    if (this.#queue.length > 0) this.#tune(this.#queue[0].rate);
    this.#startWhenReady(elapsedMs);
    if (!this.#holding || this.#silent < FORGOTTEN) {
      for (let i = 0; i < output.length; i++) {
        output[i] = this.#resampler.pull(this.#next);
        this.#peak = Math.max(this.#peak, Math.abs(output[i]));
      }
    }
    this.#tick(elapsedMs);
    return true;
  }

  #tune(rate) {
    if (rate === this.#rate) return;
    this.#rate = rate;
    this.#resampler = new Resampler(rate, sampleRate);
  }

  #startWhenReady(elapsedMs) {
    if (!this.#holding || this.#queue.length === 0) return;
    this.#heldMs += elapsedMs;
    if (this.#queuedMs < HOLD_MS && this.#heldMs < HOLD_MS && !this.#ended) return;
    this.#holding = false;
    this.#heldMs = 0;
  }

  /** Give the next sample: of the queue, or of the fade that follows it. */
  #next = () => {
    if (this.#holding) return this.#faded();
    this.#silent = 0;
    const chunk = this.#queue[0];
    if (this.#offset === 0) this.#enter(chunk);
    const stepMs = 1000 / this.#rate;
    this.#playedMs += stepMs;
    this.#gain = Math.min(1, this.#gain + stepMs / RAMP_MS);
    const sample = (this.#last = chunk.samples[this.#offset++] * this.#gain);
    if (this.#offset === chunk.samples.length) this.#leave(chunk);
    return sample;
  };

  #enter(chunk) {
    const { connection, turn, index } = chunk;
    const before = this.#now;
    if (before?.turn !== turn || before.connection !== connection) this.#playedMs = 0;
    else if (before.index === index) return;
    this.#now = { connection, turn, index };
    this.#post("playing");
  }

  #leave(chunk) {
    this.#queue.shift();
    this.#offset = 0;
    this.#queuedMs -= (chunk.samples.length / chunk.rate) * 1000;
    if (this.#queue.length > 0) return;
    this.#queuedMs = 0; // what rounding left
    this.#pause();
    if (this.#ended) this.#finish();
  }

  #pause() {
    if (!this.#holding) this.#fade = this.#last / ((RAMP_MS / 1000) * this.#rate);
    this.#holding = true;
    this.#gain = 0;
  }

  #faded() {
    const before = this.#last;
    this.#last -= this.#fade;
    if (before * this.#last <= 0) this.#last = this.#fade = 0;
    if (this.#last === 0) this.#silent++;
    return this.#last;
  }

  #finish() {
    if (this.#now === null) return;
    this.#post("idle");
    this.#now = null;
  }

  #tick(elapsedMs) {
    this.#untilTickMs -= elapsedMs;
    if (this.#untilTickMs > 0) return;
    if (this.#now !== null) this.#post("tick", { level: this.#peak });
    this.#untilTickMs = TICK_MS;
    this.#peak = 0;
  }

  #post(type, more = {}) {
    this.port.postMessage({ type, ...this.#now, playedMs: this.#playedMs, ...more });
  }
}

registerProcessor("nabra-playback", Playback);
