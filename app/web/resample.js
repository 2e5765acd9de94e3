/** Half the length of the filter, in samples of the lower of the two rates. */
const HALF_LENGTH = 24;

/** The middle of the filter's slope, as a part of the lower Nyquist frequency. */
const CUTOFF = 0.92;

/** Of the Kaiser window: attenuates by some 60 dB beyond the slope. */
const BETA = 6;

/**
 * Converts a stream of samples from one rate to another; its state lasts across chunks.
 *
 * A polyphase windowed sinc. The ratio of the rates is one of whole numbers, so nothing drifts; the
 * filter cuts below the lower of the two Nyquist frequencies, so nothing is aliased.
 */
export class Resampler {
  #up;
  #down;
  #taps;
  #phases;
  #recent;
  /** Where the next input sample goes. */
  #index = 0;
  #phase = 0;

  /** @param {number} from Hz @param {number} to Hz */
  constructor(from, to) {
    const divisor = gcd(from, to);
    this.#up = to / divisor;
    this.#down = from / divisor;
    this.#taps = from === to ? 1 : 2 * Math.ceil(HALF_LENGTH * Math.max(1, from / to));
    this.#phases = from === to ? [Float32Array.of(1)] : filter(this.#taps, this.#up, to / from);
    this.#recent = new Float32Array(2 * this.#taps); // twice, so that a window never wraps
    this.#phase = this.#up; // the first output asks for the first input
  }

  /**
   * Return the next output sample, taking as many input samples as it needs.
   *
   * @param {() => number} next returns the next input sample
   */
  pull(next) {
    while (this.#phase >= this.#up) {
      this.#take(next());
      this.#phase -= this.#up;
    }
    return this.#output();
  }

  /**
   * Take one input sample, and emit the output samples that it completes.
   *
   * @param {number} sample
   * @param {(sample: number) => void} emit
   */
  push(sample, emit) {
    this.#take(sample);
    this.#phase -= this.#up;
    while (this.#phase < this.#up) emit(this.#output());
  }

  /** @param {number} sample */
  #take(sample) {
    this.#recent[this.#index] = this.#recent[this.#index + this.#taps] = sample;
    this.#index = (this.#index + 1) % this.#taps;
  }

  #output() {
    const taps = this.#taps;
    const weights = this.#phases[this.#phase];
    let sum = 0;
    for (let i = 0; i < taps; i++) sum += weights[i] * this.#recent[this.#index + i];
    this.#phase += this.#down;
    return sum;
  }
}

/**
 * Return the weights for every phase between two input samples, the oldest sample first.
 *
 * @param {number} taps @param {number} up @param {number} ratio
 */
function filter(taps, up, ratio) {
  const cutoff = CUTOFF * Math.min(1, ratio);
  return Array.from({ length: up }, (_, phase) => {
    const weights = Float32Array.from({ length: taps }, (_, i) => {
      const distance = i + 1 - taps / 2 - phase / up;
      return sinc(cutoff * distance) * kaiser(distance / (taps / 2));
    });
    const sum = weights.reduce((a, b) => a + b);
    return weights.map((weight) => weight / sum); // each phase as loud as the others
  });
}

/** @param {number} x */
function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** @param {number} x */
function kaiser(x) {
  return Math.abs(x) >= 1 ? 0 : bessel(BETA * Math.sqrt(1 - x * x)) / bessel(BETA);
}

/** The modified Bessel function of order zero, by its series. @param {number} x */
function bessel(x) {
  let sum = 1;
  for (let term = 1, k = 1; term > 1e-9 * sum; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

/** @param {number} a @param {number} b @returns {number} */
function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}
