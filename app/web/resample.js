/** Samples to each side of an output sample that the filter looks at, at the lower of the rates. */
const REACH = 24;

/** Where the filter cuts, as a part of the lower Nyquist frequency: half-way down its slope. */
const CUTOFF = 0.92;

/** Of the Kaiser window: what lies beyond the slope is damped by some 60 dB. */
const BETA = 6;

/**
 * Converts a stream of samples from one rate to another, with its state across chunks.
 *
 * A polyphase windowed sinc: rates are taken as a ratio of whole numbers, so nothing drifts, and
 * the filter cuts below the lower of the two Nyquist frequencies, so nothing is mirrored.
 */
export class Resampler {
  #up;
  #down;
  #taps;
  #phases;
  #recent;
  #at = 0;
  #phase = 0;

  /** @param {number} from Hz @param {number} to Hz */
  constructor(from, to) {
    const divisor = gcd(from, to);
    this.#up = to / divisor;
    this.#down = from / divisor;
    this.#taps = from === to ? 1 : 2 * Math.ceil(REACH * Math.max(1, from / to));
    this.#phases = from === to ? [Float32Array.of(1)] : filter(this.#taps, this.#up, to / from);
    this.#recent = new Float32Array(2 * this.#taps); // twice, so that a window never wraps
    this.#phase = this.#up; // the first output asks for the first input
  }

  /**
   * Give the next output sample, taking as many input samples as it needs.
   *
   * @param {() => number} next gives the next input sample
   */
  pull(next) {
    while (this.#phase >= this.#up) {
      this.#take(next());
      this.#phase -= this.#up;
    }
    return this.#output();
  }

  /**
   * Take one input sample, and hand over the output samples that it completes.
   *
   * @param {number} sample
   * @param {(sample: number) => void} emit
   */
  push(sample, emit) {
    this.#take(sample);
    this.#phase -= this.#up;
    while (this.#phase < this.#up) emit(this.#output());
  }

  #take(sample) {
    this.#recent[this.#at] = this.#recent[this.#at + this.#taps] = sample;
    this.#at = (this.#at + 1) % this.#taps;
  }

  #output() {
    const taps = this.#taps;
    const weights = this.#phases[this.#phase];
    let sum = 0;
    for (let i = 0; i < taps; i++) sum += weights[i] * this.#recent[this.#at + i];
    this.#phase += this.#down;
    return sum;
  }
}

/** Weights for every phase between two input samples, the oldest sample first. */
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

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function kaiser(x) {
  return Math.abs(x) >= 1 ? 0 : bessel(BETA * Math.sqrt(1 - x * x)) / bessel(BETA);
}

/** The modified Bessel function of order zero, by its series. */
function bessel(x) {
  let sum = 1;
  for (let term = 1, k = 1; term > 1e-9 * sum; k++) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}
