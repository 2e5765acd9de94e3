class Tap extends AudioWorkletProcessor {
  #block = new Float32Array(1024);
  #filled = 0;
  #at = 0;

  process([[input]]) {
    if (this.#filled === 0) this.#at = currentTime;
    if (input) this.#block.set(input, this.#filled);
    else this.#block.fill(0, this.#filled, this.#filled + 128);
    this.#filled += 128;
    if (this.#filled === this.#block.length) {
      this.port.postMessage({ at: this.#at, block: this.#block.slice() });
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor("tap", Tap);
