/**
 * The loudspeaker's AudioWorklet: a queue of chunks of any rate, played without gaps or clicks.
 *
 * In: `audio` with a chunk, `end` (no more of this turn follows), `flush`. Out: `playing` when a
 * sentence begins to sound, `tick` every 50 ms with what was played, `idle` when a turn has been
 * played or flushed.
 *
 * @import { AudioChunk, PlaybackCommand, SentencePosition } from "./types"
 */
import { Resampler } from "./resample.js";

/** Length of a fade when sound breaks off or returns: slow enough not to click. */
const FADE_MS = 4;

/** What is gathered before playing starts, so that the next chunk may be late; and the limit. */
const PREBUFFER_MS = 60;

const TICK_MS = 50;

/** After so many silent input samples the resampler's output is silent too, and need not run. */
const RESAMPLER_TAIL_SAMPLES = 256;

class PlaybackProcessor extends AudioWorkletProcessor {
  /** @type {AudioChunk[]} */
  #queue = [];
  #offset = 0;
  #queuedMs = 0;
  /** @type {Resampler | null} */
  #resampler = null;
  #rate = 0;

  /** The sentence that sounds. @type {SentencePosition | null} */
  #sentence = null;
  /** How much of its turn was played. */
  #playedMs = 0;

  #isBuffering = true;
  #bufferingMs = 0;
  #isEnded = false;
  #gain = 0;
  #lastSample = 0;
  #fadeStep = 0;
  #silentSamples = RESAMPLER_TAIL_SAMPLES;

  #peak = 0;
  #untilTickMs = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => this.#onCommand(data);
  }

  /** @param {PlaybackCommand} command */
  #onCommand(command) {
    if (command.type === "audio") this.#append(command);
    else if (command.type === "end") this.#end();
    else this.#flush();
  }

  /** @param {AudioChunk} chunk */
  #append(chunk) {
    this.#queue.push(chunk);
    this.#queuedMs += (chunk.samples.length / chunk.rate) * 1000;
    this.#isEnded = false;
  }

  #end() {
    this.#isEnded = true;
    if (this.#queue.length === 0) this.#finishTurn();
  }

  #flush() {
    this.#queue = [];
    this.#offset = this.#queuedMs = 0;
    this.#isEnded = true;
    this.#pause();
    this.#finishTurn();
  }

  /** @param {Float32Array[][]} _inputs @param {Float32Array[][]} outputs */
  process(_inputs, [[output]]) {
    const elapsedMs = (output.length / sampleRate) * 1000;
    if (this.#queue.length > 0) this.#useRate(this.#queue[0].rate);
    this.#startWhenBuffered(elapsedMs);
    const isSilent = this.#isBuffering && this.#silentSamples >= RESAMPLER_TAIL_SAMPLES;
    if (this.#resampler !== null && !isSilent) {
      for (let i = 0; i < output.length; i++) {
        output[i] = this.#resampler.pull(this.#nextSample);
        this.#peak = Math.max(this.#peak, Math.abs(output[i]));
      }
    }
    this.#tick(elapsedMs);
    return true;
  }

  /** @param {number} rate */
  #useRate(rate) {
    if (rate === this.#rate) return;
    this.#rate = rate;
    this.#resampler = new Resampler(rate, sampleRate);
  }

  /** @param {number} elapsedMs */
  #startWhenBuffered(elapsedMs) {
    if (!this.#isBuffering || this.#queue.length === 0) return;
    this.#bufferingMs += elapsedMs;
    const isBuffered = this.#queuedMs >= PREBUFFER_MS || this.#bufferingMs >= PREBUFFER_MS;
    if (!isBuffered && !this.#isEnded) return;
    this.#isBuffering = false;
    this.#bufferingMs = 0;
  }

  /** Return the next input sample: from the queue, or from the fade-out after it. */
  #nextSample = () => {
    if (this.#isBuffering) return this.#fadeOut();
    this.#silentSamples = 0;
    const chunk = this.#queue[0];
    if (this.#offset === 0) this.#startChunk(chunk);
    const stepMs = 1000 / this.#rate;
    this.#playedMs += stepMs;
    this.#gain = Math.min(1, this.#gain + stepMs / FADE_MS);
    const sample = chunk.samples[this.#offset++] * this.#gain;
    this.#lastSample = sample;
    if (this.#offset === chunk.samples.length) this.#finishChunk(chunk);
    return sample;
  };

  /** @param {AudioChunk} chunk */
  #startChunk({ connection, turn, index }) {
    const before = this.#sentence;
    if (before?.turn !== turn || before.connection !== connection) this.#playedMs = 0;
    else if (before.index === index) return;
    this.#sentence = { connection, turn, index };
    this.#post("playing");
  }

  /** @param {AudioChunk} chunk */
  #finishChunk(chunk) {
    this.#queue.shift();
    this.#offset = 0;
    this.#queuedMs -= (chunk.samples.length / chunk.rate) * 1000;
    if (this.#queue.length > 0) return;
    this.#queuedMs = 0; // removes what rounding has left
    this.#pause();
    if (this.#isEnded) this.#finishTurn();
  }

  #pause() {
    if (!this.#isBuffering) this.#fadeStep = this.#lastSample / ((FADE_MS / 1000) * this.#rate);
    this.#isBuffering = true;
    this.#gain = 0;
  }

  #fadeOut() {
    const before = this.#lastSample;
    this.#lastSample -= this.#fadeStep;
    if (before * this.#lastSample <= 0) this.#lastSample = this.#fadeStep = 0;
    if (this.#lastSample === 0) this.#silentSamples++;
    return this.#lastSample;
  }

  #finishTurn() {
    if (this.#sentence === null) return;
    this.#post("idle");
    this.#sentence = null;
  }

  /** @param {number} elapsedMs */
  #tick(elapsedMs) {
    this.#untilTickMs -= elapsedMs;
    if (this.#untilTickMs > 0) return;
    if (this.#sentence !== null) this.#post("tick", { level: this.#peak });
    this.#untilTickMs = TICK_MS;
    this.#peak = 0;
  }

  /** @param {"playing" | "tick" | "idle"} type @param {{level?: number}} [fields] */
  #post(type, fields) {
    this.port.postMessage({ type, ...this.#sentence, playedMs: this.#playedMs, ...fields });
  }
}

registerProcessor("nabra-playback", PlaybackProcessor);
