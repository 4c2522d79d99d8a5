// What the JavaScript drivers share; see common.py. A driver is `node driver.mjs URL KEY FOLDER`, started in the folder
// of its client's packages.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export const [URL_, KEY, FOLDER] = process.argv.slice(2);
export const MODEL = 'gpt-realtime';
export const INSTRUCTIONS = 'You are the information desk of a station.';
export const WEATHER = 'light rain, twelve degrees';
export const HEARD_S = 1.5;
export const BYTES_PER_S = 48_000;
const FRAME_S = 0.02;
const FRAME = FRAME_S * BYTES_PER_S;

export const TOOL = {
  type: 'function',
  name: 'get_weather',
  description: 'The weather in a city.',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
};

/** A package of the client's folder: a module is otherwise looked for beside the file that wants it. */
export async function load(name) {
  const require = createRequire(join(process.cwd(), 'package.json'));
  return import(pathToFileURL(require.resolve(name)).href);
}

/** One line for the test. */
export function tell(saw, fields = {}) {
  process.stdout.write(JSON.stringify({ saw, ...fields }) + '\n');
}

const now = () => performance.now() / 1000;

/** Sound of a microphone in frames of 20 ms in real time: silence, or what is said. */
export class Microphone {
  #left = Buffer.alloc(0);
  #timer;

  say(name) {
    this.#left = readFileSync(join(FOLDER, `${name}.pcm`));
  }

  /** Give every frame to `take` from now on. */
  start(take) {
    let due = now();
    this.#timer = setInterval(() => {
      for (; due <= now(); due += FRAME_S) take(this.#frame());
    }, 1000 * FRAME_S);
  }

  stop() {
    clearInterval(this.#timer);
  }

  #frame() {
    const frame = Buffer.alloc(FRAME);
    this.#left.copy(frame);
    this.#left = this.#left.subarray(FRAME);
    return frame;
  }
}

/** What would have been heard by now, of sound that comes faster than it plays. */
export class Loudspeaker {
  #began = 0;
  #ends = 0;

  play(seconds) {
    if (now() >= this.#ends) this.#began = this.#ends = now();
    this.#ends += seconds;
  }

  get heard() {
    return Math.min(now(), this.#ends) - this.#began;
  }

  get left() {
    return Math.max(this.#ends - now(), 0);
  }

  stop() {
    this.#ends = Math.min(this.#ends, now());
  }
}

/** What a client gives its user of one answer. */
export class Answer {
  text = '';
  bytes = 0;
  #digest = createHash('sha256');

  sound(data) {
    this.#digest.update(data);
    this.bytes += data.length;
  }

  tell(fields = {}) {
    tell('answer', { text: this.text, bytes: this.bytes, sha256: this.#digest.digest('hex'), ...fields });
  }
}

/** Who speaks when: the conversation that every driver holds. `over` is called when it is. */
export class Talk {
  microphone = new Microphone();
  speaker = new Loudspeaker();
  answer = new Answer();
  answers = 0;
  playing = '';
  cut = '';

  constructor(over) {
    this.over = over;
  }

  /** Say it when what is played is over. */
  say(name, after = 0.1) {
    setTimeout(() => this.microphone.say(name), 1000 * (this.speaker.left + after));
  }

  began() {
    this.answer = new Answer();
  }

  sound(item, data) {
    if (this.answers === 3 && this.playing !== item) this.say('stop', HEARD_S);
    this.playing = item;
    this.answer.sound(data);
    this.speaker.play(data.length / BYTES_PER_S);
  }

  /** What is left of the sound will not be heard: how much was, in ms; nothing when all of it was. */
  interrupted() {
    if (this.speaker.left <= 0) return undefined;
    const heard = Math.floor(1000 * this.speaker.heard);
    this.speaker.stop();
    this.cut = this.playing;
    tell('interrupted', { heard_ms: heard });
    return heard;
  }

  ended(fields = {}) {
    this.answer.tell(fields);
    this.answers += 1;
    if (this.answers === 1) this.say('weather');
    if (this.answers === 3) this.say('trains');
    if (this.answers === 5) this.over();
  }
}
