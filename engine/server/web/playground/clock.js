// When a sample of the audio clock was, on the page's clock (performance.now, milliseconds).
//
// Messages from the audio thread arrive late by what the page is busy, never early: the least late are the best guess.

const FORGET = 0.02; // ms the guess gives way per message, so that it follows a clock that drifts (25 messages: 0.5 ms)

export class Clock {
  constructor(rate) {
    this.rate = rate;
    this.offset = Infinity;
  }

  /** A message about `frame` arrived now. */
  note(frame, now) {
    this.offset = Math.min(this.offset + FORGET, now - (frame / this.rate) * 1000);
  }

  /** Milliseconds of the page's clock. */
  at(frame) {
    return this.offset + (frame / this.rate) * 1000;
  }
}
