// How long each answer took, on the page's clock in milliseconds: from the end of speech to the first sound heard.

const MOST = 200; // answers and interruptions kept; the oldest go

export class Timing {
  constructor({ onChange }) {
    this.onChange = onChange;
    this.clear();
  }

  clear() {
    this.rows = [];
    this.cause = null; // what the next response answers
    this.stops = []; // interruptions
    this.onChange();
  }

  /** Speech was over at `ended`, and that was known `noticed`; for typed words and a released button both are one. */
  asked(kind, ended, noticed) {
    this.cause = { kind, ended: Math.min(ended ?? noticed, noticed), noticed };
  }

  handle(event, now) {
    if (event.type === "response.created") this.begin(event.response.id, now);
    else if (event.type === "response.output_audio.delta" || event.type === "response.output_text.delta") {
      const row = this.row(event.response_id);
      if (row && row.first === null)
        this.change(row, { first: now, text: event.type === "response.output_text.delta" });
    } else if (event.type === "response.done") {
      const row = this.row(event.response.id);
      if (row) this.change(row, { done: now, status: event.response.status, usage: event.response.usage ?? null });
    }
  }

  begin(responseId, now) {
    const cause = this.cause ?? { kind: "asked", ended: now, noticed: now };
    this.cause = null;
    this.rows.push({
      responseId,
      ...cause,
      created: now,
      first: null,
      heard: null,
      done: null,
      text: false,
      status: "",
    });
    if (this.rows.length > MOST) this.rows.shift();
    this.onChange();
  }

  row(responseId) {
    return this.rows.findLast((row) => row.responseId === responseId);
  }

  change(row, members) {
    Object.assign(row, members);
    this.onChange();
  }

  /** The first sample of a response reached the ear. */
  heard(responseId, at) {
    const row = this.row(responseId);
    if (row && row.heard === null) this.change(row, { heard: Math.max(at, row.first ?? at) });
  }

  /** The person spoke into a reply: since `onset` (null: unknown), `noticed` here, silent at `silent`. */
  stopped({ onset, noticed, silent }) {
    this.stops.push({ onset, noticed, silent });
    if (this.stops.length > MOST) this.stops.shift();
    this.onChange();
  }
}

/** The parts of an answer's time; null for those not known (yet). */
export function parts(row) {
  const end = row.heard ?? (row.text ? row.first : null);
  return {
    noticing: row.noticed - row.ended,
    thinking: row.first === null ? null : row.first - row.noticed,
    playing: row.heard === null || row.first === null ? null : row.heard - row.first,
    total: end === null ? null : end - row.ended,
  };
}

export function median(values) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
