// What is said waits here and is played; every sample of it is counted. Runs in the audio thread.
//
// Sound comes at 24 kHz in tracks, one per spoken content of an item. `played` of a track is how many of its samples
// were handed to the device, which is what an interruption reports: those will still be heard, later ones will not.

import { WIRE_RATE } from "./capture.js";
import { Resampler } from "./resampler.js";

const START = 960; // samples at hand before a track begins: 40 ms
const RESUME = 2400; // and after it ran dry in the middle: 100 ms, for a network that shows it needs them
const FADE = 240; // samples a flush takes to fall silent: 10 ms, too short to hear and long enough not to click
const LIMIT = 600 * WIRE_RATE; // samples waiting: ten minutes. What comes beyond is refused, and told.

export class Playback {
  constructor(rate) {
    this.resampler = new Resampler(WIRE_RATE, rate);
    this.frames = rate / WIRE_RATE; // of the device in one sample
    this.input = new Float32Array(8192);
    this.tail = new Float32Array(FADE);
    this.tailLeft = 0;
    this.queue = []; // { track, samples, offset }; bounded by LIMIT samples
    this.waiting = 0;
    this.tracks = new Map(); // those not told to be finished yet
    this.flowing = false;
    this.underruns = 0;
  }

  /** Queues samples of a track; false when there is no room for them. */
  push(key, samples) {
    if (this.waiting + samples.length > LIMIT) return false;
    const track = this.track(key);
    track.received += samples.length;
    this.queue.push({ track, samples, offset: 0 });
    this.waiting += samples.length;
    return true;
  }

  /** No more is coming for a track. */
  end(key) {
    this.track(key).ended = true;
  }

  track(key) {
    if (!this.tracks.has(key)) this.tracks.set(key, { key, received: 0, played: 0, ended: false, firstFrame: null });
    return this.tracks.get(key);
  }

  /** Falls silent and forgets all that waits. Returns what was played of each track that was not through. */
  flush() {
    const positions = [...this.tracks.values()]
      .filter((track) => !(track.ended && track.played >= track.received))
      .map((track) => ({ key: track.key, played: this.handedOver(track), received: track.received }));
    this.tailLeft = this.flowing ? this.fill(this.tail, FADE, null) : 0;
    this.tail.fill(0, this.tailLeft);
    for (let n = 0; n < FADE; n += 1) this.tail[n] *= 1 - (n + 1) / FADE;
    this.tailLeft = FADE;
    this.queue.length = 0;
    this.waiting = 0;
    this.flowing = false;
    this.tracks.clear();
    return positions;
  }

  /** Samples of a track that left this block: those in the resampler's memory have not. */
  handedOver(track) {
    const through = track.ended && track.played >= track.received;
    return through ? track.played : Math.max(0, track.played - this.resampler.latency);
  }

  /** Writes a block for the device, whose first sample is number `frame` of the context. */
  render(output, frame) {
    const count = this.resampler.needed(output.length);
    this.flow();
    let filled = this.fading(count);
    if (this.flowing) filled += this.fill(this.input.subarray(filled), count - filled, frame + filled * this.frames);
    this.input.fill(0, filled, count);
    this.resampler.process(this.input, count, output, output.length);
  }

  flow() {
    if (this.flowing || this.queue.length === 0) return;
    const { track } = this.queue[0];
    const enough = track.played > 0 ? RESUME : START;
    this.flowing = this.waiting >= enough || track.ended;
  }

  fading(count) {
    if (this.tailLeft === 0) return 0;
    const taken = Math.min(count, this.tailLeft);
    const from = FADE - this.tailLeft;
    for (let n = 0; n < taken; n += 1) this.input[n] = this.tail[from + n];
    this.tailLeft -= taken;
    return taken;
  }

  /** Up to `count` samples from the queue. They count as played, from `frame` of the device on, unless that is null. */
  fill(into, count, frame) {
    let filled = 0;
    while (filled < count && this.queue.length > 0) {
      const head = this.queue[0];
      const taken = Math.min(count - filled, head.samples.length - head.offset);
      for (let n = 0; n < taken; n += 1) into[filled + n] = head.samples[head.offset + n] / 32768;
      if (frame !== null) {
        head.track.firstFrame ??= Math.round(frame + (filled + this.resampler.latency) * this.frames);
        head.track.played += taken;
      }
      head.offset += taken;
      filled += taken;
      this.waiting -= taken;
      if (head.offset === head.samples.length) this.queue.shift();
    }
    if (frame !== null && filled < count) this.ranDry();
    return filled;
  }

  ranDry() {
    this.flowing = false;
    for (const track of this.tracks.values()) {
      if (track.played > 0 && !track.ended) this.underruns += 1;
    }
  }

  /** Where each track is. One that is through is told once more, as finished, and then forgotten. */
  report() {
    const told = [];
    for (const track of this.tracks.values()) {
      const finished = track.ended && track.played >= track.received;
      told.push({ key: track.key, played: this.handedOver(track), firstFrame: track.firstFrame, finished });
      if (finished) this.tracks.delete(track.key);
    }
    return told;
  }
}
