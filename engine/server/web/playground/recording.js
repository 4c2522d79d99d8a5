// The conversation for later: what was said (left) and what was played (right), and when everything happened.

export const LIMIT_MS = 15 * 60000; // 86 MB; then it stops, and says so
const ENTRIES = 20000; // of the timeline; later ones are counted only
const RATE = 24000;

export class Recording {
  constructor({ onFull }) {
    this.onFull = onFull;
    this.clear();
  }

  clear() {
    this.pieces = []; // interleaved; bounded by LIMIT_MS
    this.samples = 0;
    this.lastEnd = null; // of the last piece, on the page's clock
    this.startedAt = null;
    this.entries = [];
    this.leftOut = 0;
    this.full = false;
  }

  get ms() {
    return (this.samples / RATE) * 1000;
  }

  piece(near, far, endsAt) {
    if (this.full) return;
    this.startedAt ??= new Date(Date.now() - (near.length / RATE) * 1000);
    const both = new Int16Array(near.length * 2);
    for (let n = 0; n < near.length; n += 1) {
      both[2 * n] = near[n];
      both[2 * n + 1] = far[n];
    }
    this.pieces.push(both);
    this.samples += near.length;
    this.lastEnd = endsAt;
    if (this.ms >= LIMIT_MS) {
      this.full = true;
      this.onFull();
    }
  }

  /** Where a moment of the page's clock is in the recording, in ms; null before its first sample. */
  place(at) {
    return this.lastEnd === null ? null : Math.max(0, this.ms + at - this.lastEnd);
  }

  note(direction, event, at) {
    if (this.full) return;
    if (this.entries.length >= ENTRIES) this.leftOut += 1;
    else this.entries.push({ at_ms: rounded(this.place(at)), direction, event });
  }

  wav() {
    return new Blob([wavHeader(this.samples), ...this.pieces], { type: "audio/wav" });
  }

  /** Everything but the sound; `turns`, `answers`, `stops` as the page has them. */
  timeline({ session, turns, answers, stops }) {
    const place = (at) => (at === null || at === undefined ? null : rounded(this.place(at)));
    return {
      recorded: this.startedAt?.toISOString() ?? null,
      duration_ms: rounded(this.ms),
      sound: { rate: RATE, left: "microphone", right: "loudspeaker" },
      session,
      turns: turns.map((turn) => ({
        id: turn.id,
        role: turn.role,
        type: turn.kind,
        at_ms: place(turn.at),
        text: turn.text,
        sound_ms: rounded(turn.spokenMs),
        ...(turn.role === "assistant" ? { heard_ms: rounded(turn.heardMs), interrupted: turn.interrupted } : {}),
      })),
      answers: answers.map((row) => ({
        response_id: row.responseId,
        to: row.kind,
        speech_ended_ms: place(row.ended),
        noticed_ms: place(row.noticed),
        created_ms: place(row.created),
        first_received_ms: place(row.first),
        first_heard_ms: place(row.heard),
        done_ms: place(row.done),
        status: row.status,
      })),
      interruptions: stops.map(({ onset, noticed, silent }) => ({
        onset_ms: place(onset),
        noticed_ms: place(noticed),
        silent_ms: place(silent),
      })),
      events: this.entries,
      events_left_out: this.leftOut,
    };
  }
}

const rounded = (ms) => (ms === null ? null : Math.round(ms));

function wavHeader(samples) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  const bytes = samples * 4;
  text(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 2, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * 4, true);
  view.setUint16(32, 4, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, bytes, true);
  return view.buffer;
}
