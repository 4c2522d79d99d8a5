// Which of the microphone's pieces the server gets: all of them, silence in their place, or those of a held button.

import { toBase64 } from "./pcm.js";

const PER_MS = 24; // samples
const LEAST_MS = 100; // a server takes no shorter turn
const STRETCHES = 64; // of unbroken sound that are remembered, to find their times; older ones go

export class Speaking {
  /** `send(base64)` says whether it went; `onTurn(endedAt)` when a held button was released after enough sound,
   * else `onTooShort()`. */
  constructor({ send, onTurn, onTooShort }) {
    Object.assign(this, { send, onTurn, onTooShort });
    this.muted = false;
    this.push = false; // push to talk
    this.restart();
  }

  /** A new session: its sound begins at 0 ms. */
  restart() {
    this.held = false;
    this.releasing = false;
    this.heldMs = 0;
    this.sentMs = 0;
    this.stretches = []; // { from, at }: the server's millisecond `from` was spoken `at`
    this.unbroken = false;
  }

  get sending() {
    return this.push ? this.held || this.releasing : true;
  }

  press() {
    this.held = true;
    this.releasing = false;
    this.heldMs = 0;
  }

  /** The piece in which the button was released still goes, whole. */
  release() {
    if (!this.held) return;
    this.held = false;
    this.releasing = true;
  }

  /** Takes a piece, and makes it silent unless it is said: what is not said is neither shown nor recorded. */
  piece(near, endsAt) {
    const said = this.muted || !this.sending ? near.fill(0) : near;
    if (!this.sending) {
      this.unbroken = false;
      return said;
    }
    const ms = near.length / PER_MS;
    if (this.send(toBase64(said))) this.note(ms, endsAt);
    else this.unbroken = false;
    if (this.releasing) this.finish(endsAt);
    return said;
  }

  note(ms, endsAt) {
    if (!this.unbroken) this.stretches.push({ from: this.sentMs, at: endsAt - ms });
    else this.stretches.at(-1).at += (endsAt - ms - this.timeOf(this.sentMs)) * 0.1; // two clocks drift apart
    if (this.stretches.length > STRETCHES) this.stretches.shift();
    this.unbroken = true;
    this.sentMs += ms;
    this.heldMs += ms;
  }

  finish(endsAt) {
    this.releasing = false;
    if (this.heldMs >= LEAST_MS) this.onTurn(endsAt);
    else this.onTooShort();
  }

  /** When the server's millisecond was spoken, on the page's clock; null when nothing was sent. */
  timeOf(serverMs) {
    const stretch = this.stretches.findLast(({ from }) => from <= serverMs) ?? this.stretches[0];
    return stretch ? stretch.at + serverMs - stretch.from : null;
  }
}
