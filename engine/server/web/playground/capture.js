// Sound at the device's rate into pieces of the wire's: 24 kHz, signed 16 bit. Runs in the audio thread.

import { Resampler } from "./resampler.js";

export const WIRE_RATE = 24000;
export const PIECE = 960; // samples, 40 ms: 25 messages a second are few, and 40 ms late is little

export class Capture {
  constructor(rate) {
    this.resampler = new Resampler(rate, WIRE_RATE);
    this.converted = new Float32Array(4096);
    this.piece = new Int16Array(PIECE + 4096);
    this.filled = 0;
  }

  /** Takes samples in [-1, 1], at most 1024 of them at a time. */
  push(samples) {
    const count = this.resampler.process(samples, samples.length, this.converted);
    for (let n = 0; n < count; n += 1) {
      const value = Math.round(this.converted[n] * 32768);
      this.piece[this.filled + n] = value > 32767 ? 32767 : value < -32768 ? -32768 : value;
    }
    this.filled += count;
  }

  /** Whether a piece is ready to be taken. */
  get full() {
    return this.filled >= PIECE;
  }

  /** A copy of the oldest piece, to give away. */
  take() {
    const taken = this.piece.slice(0, PIECE);
    this.piece.copyWithin(0, PIECE, this.filled);
    this.filled -= PIECE;
    return taken;
  }
}
