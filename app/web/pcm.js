/** Samples of G.711 mu-law, by their byte. */
const MULAW = Float32Array.from({ length: 256 }, (_, byte) => {
  const [sign, exponent, mantissa] = [~byte & 0x80, (~byte >> 4) & 7, ~byte & 15];
  const magnitude = ((((mantissa << 3) + 0x84) << exponent) - 0x84) / 32768;
  return sign ? -magnitude : magnitude;
});

/**
 * @param {Uint8Array} bytes raw audio without a header
 * @param {"pcm_s16le" | "mulaw"} encoding
 * @returns samples of -1 to 1
 */
export function decode(bytes, encoding) {
  if (encoding === "mulaw") return Float32Array.from(bytes, (byte) => MULAW[byte]);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const samples = new Float32Array(bytes.byteLength >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(2 * i, true) / 32768;
  return samples;
}

/** @param {string} text */
export function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** @param {Uint8Array} bytes */
export function toBase64(bytes) {
  let binary = "";
  for (let i = 0; i < bytes.length; i += 32768) {
    binary += String.fromCharCode(...bytes.subarray(i, i + 32768));
  }
  return btoa(binary);
}
