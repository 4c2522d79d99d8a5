// Band-limited rate conversion of a stream: a polyphase FIR, windowed by Kaiser.
//
// Passes up to 0.88 of the lower rate's half flat, keeps 90 dB of what would alias out. Any way of cutting the input
// gives the same output, to the bit. Nothing is allocated after the constructor: it runs in the audio thread.

const STOPBAND_DB = 90;
const PASSBAND = 0.88; // of half the lower rate
const MAX_PHASES = 1024; // more (44 117 Hz, say) are interpolated between this many, which stays under the stopband
const BLOCK = 1024; // inputs taken at a time

const gcd = (a, b) => (b === 0 ? a : gcd(b, a % b));

/** Modified Bessel function of order 0, by its power series. */
function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > sum * 1e-16; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function table(taps, rows, phases, cutoff) {
  const beta = 0.1102 * (STOPBAND_DB - 8.7);
  const half = taps / 2;
  const scale = bessel(beta);
  const made = new Float64Array(rows * taps);
  for (let row = 0; row < rows; row += 1) {
    let sum = 0;
    for (let k = 0; k < taps; k += 1) {
      const at = k + row / phases - half; // in input samples from the middle of the filter
      const window = Math.abs(at) < half ? bessel(beta * Math.sqrt(1 - (at / half) ** 2)) / scale : 0;
      const x = Math.PI * cutoff * at;
      const value = (x === 0 ? 1 : Math.sin(x) / x) * window;
      made[row * taps + k] = value;
      sum += value;
    }
    for (let k = 0; k < taps; k += 1) made[row * taps + k] /= sum; // exactly 1 for a constant, in every phase
  }
  return made;
}

export class Resampler {
  /** Rates in Hz, whole numbers. */
  constructor(rateIn, rateOut) {
    const common = gcd(rateIn, rateOut);
    this.up = rateOut / common;
    this.down = rateIn / common;
    const lower = Math.min(rateIn, rateOut) / rateIn; // its half, as a part of the input's half
    const width = (1 - PASSBAND) * lower * Math.PI;
    this.taps = 2 * Math.ceil((STOPBAND_DB - 7.95) / (2.285 * width) / 2);
    this.exact = this.up <= MAX_PHASES;
    this.phases = this.exact ? this.up : MAX_PHASES;
    this.rows = table(this.taps, this.phases + 1, this.phases, (lower * (1 + PASSBAND)) / 2);
    this.line = new Float64Array(this.taps + BLOCK); // what was heard before, then the block
    this.reset();
  }

  /** Delay in input samples. */
  get latency() {
    return this.taps / 2;
  }

  reset() {
    this.line.fill(0);
    this.index = 0; // input that the next output stands at, counted from the block's first
    this.phase = 0; // and how far behind it, in 1 / up of a sample
  }

  /** Inputs it takes to make `count` outputs. */
  needed(count) {
    return count === 0 ? 0 : this.index + Math.floor((this.phase + (count - 1) * this.down) / this.up) + 1;
  }

  /** Takes `count` inputs, writes at most `limit` outputs, returns how many. A limit is for who asked `needed`. */
  process(input, count, output, limit = output.length) {
    let written = 0;
    for (let start = 0; start < count || start === 0; start += BLOCK) {
      written = this.block(input, start, Math.min(BLOCK, count - start), output, written, limit);
    }
    return written;
  }

  block(input, start, count, output, already, limit) {
    const { taps, line } = this;
    for (let n = 0; n < count; n += 1) line[taps + n] = input[start + n];
    let written = already;
    while (this.index < count && written < limit) {
      output[written] = this.output(taps + this.index);
      written += 1;
      const next = this.phase + this.down;
      this.index += Math.floor(next / this.up);
      this.phase = next % this.up;
    }
    this.index -= count; // -1 after a limit: then the next one stands at the last input again
    line.copyWithin(0, count, count + taps);
    return written;
  }

  output(newest) {
    const { taps, line, rows } = this;
    const place = this.exact ? this.phase : (this.phase * this.phases) / this.up;
    const row = Math.floor(place) * taps;
    let sum = 0;
    for (let k = 0; k < taps; k += 1) sum += rows[row + k] * line[newest - k];
    if (this.exact) return sum;
    let above = 0;
    for (let k = 0; k < taps; k += 1) above += rows[row + taps + k] * line[newest - k];
    return sum + (above - sum) * (place - Math.floor(place));
  }
}
