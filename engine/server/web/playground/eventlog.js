// Every event of the session, without its sound and secrets, in a list with an end.

const MOST = 1000; // entries kept; the oldest go
const LONGEST = 4000; // letters of one text that are kept
const SECRET = new Set(["authorization", "client_secret", "api_key", "headers"]);

/** An event as it may be shown and kept: sound becomes its length, a secret a mark. */
export function shown(event) {
  return plain(event, "", event.type);
}

function plain(value, name, type) {
  if (SECRET.has(name) && value) return "[hidden]";
  if (Array.isArray(value)) return value.map((each) => plain(each, "", type));
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each, key, type)]));
  }
  if (typeof value !== "string") return value;
  const sound = name === "audio" || (name === "delta" && type.endsWith("audio.delta"));
  if (sound) return `[${value.length} letters of sound]`;
  if (value.startsWith("data:") && value.length > 200) return `${value.slice(0, 40)}… [${value.length} letters]`;
  return value.length > LONGEST ? `${value.slice(0, LONGEST)}… [${value.length} letters]` : value;
}

const RUN = 200; // events of one run whose JSON is kept

const textOf = (value) => (typeof value === "string" ? value : ""); // whatever a server sends

const isSound = (event) => event.type === "input_audio_buffer.append" || event.type === "response.output_audio.delta";

/** Pieces that come in runs share an entry: what they are pieces of, or "" for an event that stands by itself. */
const runOf = (event) =>
  isSound(event) || event.type.endsWith(".delta")
    ? `${event.type} ${event.item_id ?? ""} ${event.content_index ?? ""}`
    : "";

const soundMs = (event) => {
  const text = textOf(event.audio ?? event.delta);
  return (text.length * 3) / 4 / 48;
};

export class EventLog {
  constructor({ onAdd, onGrow, onDrop }) {
    Object.assign(this, { onAdd, onGrow, onDrop });
    this.clear();
  }

  clear() {
    for (const entry of this.entries ?? []) this.onDrop(entry);
    this.entries = [];
    this.growing = new Map(); // by run: the entry that more of it is added to, until something else happens
  }

  /** `direction` is "sent" or "received", `at` on the page's clock. Returns the event as it may be kept. */
  add(direction, event, at) {
    const run = runOf(event);
    const kept = shown(event);
    const growing = this.growing.get(run);
    if (growing) {
      grow(growing, event, kept);
      this.onGrow(growing);
      return kept;
    }
    const entry = { direction, at, type: event.type, event: kept, run: [kept], times: 0, ms: 0, text: "" };
    entry.failed = event.type === "error" || event.response?.status === "failed" || event.type.endsWith(".failed");
    entry.words = `${event.type} ${JSON.stringify(kept)}`.toLowerCase();
    if (run) {
      grow(entry, event, null);
      this.growing.set(run, entry);
    } else this.growing.clear();
    this.entries.push(entry);
    this.onAdd(entry);
    if (this.entries.length > MOST) this.onDrop(this.entries.shift());
    return kept;
  }
}

function grow(entry, event, kept) {
  entry.times += 1;
  if (isSound(event)) entry.ms += soundMs(event);
  else if (entry.text.length < LONGEST) {
    entry.text += textOf(event.delta);
    entry.words += kept ? textOf(event.delta).toLowerCase() : "";
  }
  if (kept && !isSound(event) && entry.run.length < RUN) entry.run.push(kept);
}

/** Whether a filter lets an entry through: `which` is "all", "sent", "received" or "errors"; every word must occur. */
export function passes(entry, { which, words }) {
  if (which === "errors" ? !entry.failed : which !== "all" && which !== entry.direction) return false;
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => entry.words.includes(word));
}
