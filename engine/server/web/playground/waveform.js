// Both sounds in one picture: what the person said above the line, what was played below it, newest at the right.
//
// One bar per piece of 40 ms, drawn when a piece comes and at no other time. Who wants little motion sees bars that
// stand still and a gap that goes round, in place of a picture that runs.

import { peak } from "./pcm.js";
import { soon } from "./dom.js";

const PITCH = 3; // pixels from bar to bar
const BAR = 2;
const MOST = 1200; // bars kept: as many as a wide screen shows; the oldest go
const GAP = 6; // bars left empty before the place that goes round
const LOUDNESS = 0.55; // exponent: quiet speech is to be seen as well

export class Waveform {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.draw = soon(() => this.paint());
    this.clear();
    new ResizeObserver(() => this.fit()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.fit());
    this.still.addEventListener("change", this.draw);
  }

  clear() {
    this.bars = []; // { near, far, speech, cut }
    this.count = 0;
    this.draw();
  }

  /** Adds a piece. `speech`: the server hears a person speak. */
  piece(near, far, speech) {
    this.bars.push({ near: peak(near), far: peak(far), speech, cut: false });
    this.count += 1;
    if (this.bars.length > MOST) this.bars.shift();
    this.draw();
  }

  /** Marks the newest bar as the place where a reply was cut off. */
  cut() {
    if (this.bars.length > 0) this.bars.at(-1).cut = true;
  }

  fit() {
    const { canvas } = this;
    const scale = devicePixelRatio || 1;
    const box = canvas.getBoundingClientRect();
    canvas.width = Math.round(box.width * scale);
    canvas.height = Math.round(box.height * scale);
    this.pen.setTransform(scale, 0, 0, scale, 0, 0);
    this.width = box.width;
    this.height = box.height;
    const style = getComputedStyle(canvas);
    this.colours = Object.fromEntries(
      ["near", "near-soft", "far", "line", "alarm"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
    );
    this.paint();
  }

  paint() {
    const { pen, width, height, colours } = this;
    if (!colours || !width) return;
    const middle = Math.round(height / 2);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = colours.line;
    pen.fillRect(0, middle, width, 1);
    const room = Math.floor(width / PITCH);
    const visible = Math.min(this.bars.length, this.still.matches ? room - GAP : room);
    for (let n = 0; n < visible; n += 1) {
      const back = visible - 1 - n; // 0: the newest
      const x = this.still.matches ? ((this.count - 1 - back) % room) * PITCH : width - (back + 1) * PITCH;
      this.bar(this.bars[this.bars.length - 1 - back], x, middle);
    }
  }

  bar({ near, far, speech, cut }, x, middle) {
    const { pen, colours } = this;
    const up = near ** LOUDNESS * (middle - 4);
    const down = far ** LOUDNESS * (middle - 4);
    if (cut) {
      pen.fillStyle = colours.alarm;
      pen.fillRect(x, 0, 1, this.height);
    }
    pen.fillStyle = speech ? colours.near : colours["near-soft"];
    if (up > 0.5) pen.fillRect(x, middle - up, BAR, up);
    pen.fillStyle = colours.far;
    if (down > 0.5) pen.fillRect(x, middle + 1, BAR, down);
  }
}
