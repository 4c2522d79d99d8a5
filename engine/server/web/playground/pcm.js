// Samples and the wire's base64. Little endian on both sides: so is every processor that runs a browser.

const SLICE = 8192; // characters made at a time: one argument each

export function toBase64(samples) {
  const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
  let text = "";
  for (let start = 0; start < bytes.length; start += SLICE) {
    text += String.fromCharCode(...bytes.subarray(start, start + SLICE));
  }
  return btoa(text);
}

/** 16-bit samples. Throws where the text is no base64; half a sample at the end is left out. */
export function fromBase64(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Int16Array(bytes.buffer, 0, bytes.length >> 1);
}

/** Largest magnitude, 0 to 1. */
export function peak(samples, start = 0, end = samples.length) {
  let most = 0;
  for (let n = start; n < end; n += 1) {
    const size = samples[n] < 0 ? -samples[n] : samples[n];
    if (size > most) most = size;
  }
  return most / 32768;
}
