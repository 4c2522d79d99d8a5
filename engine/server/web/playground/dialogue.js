// The conversation as a list of turns, made from the server's events. No page here: the view listens to `onChange`.

const MOST = 500; // turns kept; the oldest go

export class Dialogue {
  constructor({ onChange, onRemove, onSettled }) {
    Object.assign(this, { onChange, onRemove, onSettled });
    this.clear();
  }

  clear() {
    for (const turn of this.turns ?? []) this.onRemove(turn);
    this.turns = [];
  }

  find(id) {
    return this.turns.findLast((turn) => turn.id === id);
  }

  handle(event, now) {
    if (Object.hasOwn(HANDLERS, event.type)) HANDLERS[event.type](this, event, now);
  }

  /** How much of an item was played. */
  heard(itemId, ms) {
    const turn = this.find(itemId);
    if (!turn || turn.heardMs === ms) return;
    turn.heardMs = ms;
    this.onChange(turn);
  }

  /** An item was cut off after so much of it. */
  cut(itemId, ms) {
    const turn = this.find(itemId);
    if (!turn) return;
    turn.heardMs = ms;
    turn.interrupted = true;
    this.onChange(turn);
  }

  upsert(item, previous, now) {
    let turn = this.find(item.id);
    if (!turn) {
      turn = newTurn(item.id, now);
      this.insert(turn, previous);
    }
    fillIn(turn, item);
    this.onChange(turn);
    return turn;
  }

  insert(turn, previous) {
    const after = previous ? this.turns.findLastIndex((each) => each.id === previous) : -1;
    if (after >= 0) this.turns.splice(after + 1, 0, turn);
    else this.turns.push(turn);
    if (this.turns.length > MOST) this.onRemove(this.turns.shift());
  }

  remove(id) {
    const at = this.turns.findIndex((turn) => turn.id === id);
    if (at >= 0) this.onRemove(...this.turns.splice(at, 1));
  }

  /** Changes a turn that is known. */
  change(id, changing) {
    const turn = this.find(id);
    if (!turn) return;
    changing(turn);
    this.onChange(turn);
  }
}

/** How many letters of a turn's text were heard: its share of the sound, up to the end of a word. */
export function heardLetters(turn) {
  const { text, spokenMs, heardMs } = turn;
  if (turn.role !== "assistant" || !spokenMs) return text.length;
  const share = Math.min(1, heardMs / spokenMs);
  if (share >= 1) return text.length;
  const end = text.indexOf(" ", Math.floor(text.length * share));
  return share === 0 ? 0 : end < 0 ? text.length : end;
}

function newTurn(id, now) {
  return {
    id,
    at: now,
    role: "user",
    kind: "message",
    name: "",
    texts: new Map(), // by content index
    get text() {
      return [...this.texts.values()].join("\n");
    },
    listening: false, // the person is speaking it
    waiting: false, // its words are still to come
    unclear: "", // why there are none
    spokenMs: 0, // of sound, as far as it is known
    heardMs: 0,
    interrupted: false,
    status: "",
    why: "", // the response ended otherwise than completed
    timing: null,
  };
}

function fillIn(turn, item) {
  turn.kind = item.type ?? "message";
  turn.role = item.type === "message" ? item.role : item.type === "function_call_output" ? "user" : "assistant";
  turn.status = item.status ?? "";
  turn.name = item.name ?? turn.name;
  turn.listening = false;
  (item.content ?? []).forEach((part, index) => {
    const text = part.text ?? part.transcript;
    if (isText(text)) turn.texts.set(index, text);
  });
  if (item.type !== "message") turn.texts.set(0, facts(item) || turn.text);
}

/** What there is to read of a call, its output, or an item of a kind this page does not know. */
function facts({ arguments: given, output, error }) {
  return [given, output, error ? JSON.stringify(error) : ""].filter(isText).join("\n");
}

const isText = (value) => typeof value === "string" && value !== ""; // whatever a server sends
const grow = (index, delta) => (turn) => isText(delta) && turn.texts.set(index, (turn.texts.get(index) ?? "") + delta);
const whole = (index, text) => (turn) => isText(text) && turn.texts.set(index, text);
const added = (dialogue, event, now) => {
  if (event.item) dialogue.upsert(event.item, event.previous_item_id, now);
};

const HANDLERS = {
  "conversation.item.added": added,
  "conversation.item.created": added,
  "conversation.item.done": (dialogue, event, now) => {
    added(dialogue, event, now);
    if (event.item) dialogue.onSettled(dialogue.find(event.item.id));
  },
  "conversation.item.deleted": (dialogue, event) => dialogue.remove(event.item_id),
  "conversation.item.truncated": (dialogue, event) => dialogue.cut(event.item_id, event.audio_end_ms),

  "input_audio_buffer.speech_started": (dialogue, event, now) => {
    const turn = dialogue.upsert({ id: event.item_id, type: "message", role: "user" }, null, now);
    turn.listening = true;
    turn.startMs = event.audio_start_ms;
    dialogue.onChange(turn);
  },
  "input_audio_buffer.speech_stopped": (dialogue, event) =>
    dialogue.change(event.item_id, (turn) => {
      turn.listening = false;
      turn.spokenMs = event.audio_end_ms - (turn.startMs ?? event.audio_end_ms);
    }),
  "input_audio_buffer.cleared": (dialogue) => {
    for (const turn of dialogue.turns.filter((each) => each.listening)) dialogue.remove(turn.id);
  },

  "conversation.item.input_audio_transcription.delta": (dialogue, event) =>
    dialogue.change(event.item_id, grow(event.content_index, event.delta)),
  "conversation.item.input_audio_transcription.completed": (dialogue, event) => {
    dialogue.change(event.item_id, (turn) => {
      whole(event.content_index, event.transcript)(turn);
      turn.unclear = event.transcript ? "" : "no words were understood";
    });
    const turn = dialogue.find(event.item_id);
    if (turn) dialogue.onSettled(turn);
  },
  "conversation.item.input_audio_transcription.failed": (dialogue, event) =>
    dialogue.change(event.item_id, (turn) => {
      turn.unclear = event.error?.message ?? "it could not be transcribed";
    }),

  "response.output_item.added": (dialogue, event, now) => {
    const turn = dialogue.upsert(event.item, null, now);
    turn.responseId = event.response_id;
  },
  "response.output_item.done": added,
  "response.output_audio.delta": (dialogue, event) =>
    dialogue.change(event.item_id, (turn) => {
      const end = event.delta.endsWith("==") ? 2 : event.delta.endsWith("=") ? 1 : 0;
      turn.spokenMs += ((event.delta.length * 3) / 4 - end) / 48;
    }),
  "response.output_audio_transcript.delta": (dialogue, event) =>
    dialogue.change(event.item_id, grow(event.content_index, event.delta)),
  "response.output_audio_transcript.done": (dialogue, event) =>
    dialogue.change(event.item_id, whole(event.content_index, event.transcript)),
  "response.output_text.delta": (dialogue, event) =>
    dialogue.change(event.item_id, grow(event.content_index, event.delta)),
  "response.output_text.done": (dialogue, event) =>
    dialogue.change(event.item_id, whole(event.content_index, event.text)),
  "response.function_call_arguments.delta": (dialogue, event) => dialogue.change(event.item_id, grow(0, event.delta)),
  "response.function_call_arguments.done": (dialogue, event) =>
    dialogue.change(event.item_id, whole(0, event.arguments)),
  "response.done": (dialogue, { response }) => {
    const details = response.status_details ?? {};
    const why = details.error?.message ?? details.error?.code ?? details.reason ?? "";
    for (const turn of dialogue.turns.filter((each) => each.responseId === response.id)) {
      turn.status = response.status;
      turn.why = response.status === "completed" ? "" : why;
      dialogue.onChange(turn);
    }
  },
};
