// The session's configuration: what is in force, what was asked for, and what became of that. No page here.

/** The member at a path like "audio.output.voice"; undefined where there is none. */
export function at(value, path) {
  return path
    .split(".")
    .reduce((inner, name) => (inner === null || inner === undefined ? undefined : inner[name]), value);
}

/** `target` with the member at a path set, branches made as needed. */
export function put(target, path, value) {
  const names = path.split(".");
  const last = names.pop();
  let branch = target;
  for (const name of names) branch = branch[name] ??= {};
  branch[last] = value;
  return target;
}

/** What differs between two configurations: [{ path, before, after }]; arrays are compared whole. */
export function differences(before, after, path = "") {
  const plain = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (plain(before) && plain(after)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...names].flatMap((name) => differences(before[name], after[name], path ? `${path}.${name}` : name));
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, before, after }];
}

const OURS = [
  "type",
  "instructions",
  "output_modalities",
  "tools",
  "tool_choice",
  "max_output_tokens",
  "truncation",
  "audio",
];

/** The part of a configuration that an update may hold, to edit it. */
export function editable(session) {
  return Object.fromEntries(OURS.filter((name) => name in session).map((name) => [name, session[name]]));
}

export class Session {
  /** `onAnswer({ accepted, changes | error, update })`; `onForce(session)` when another configuration is in force. */
  constructor({ send, onAnswer, onForce }) {
    Object.assign(this, { send, onAnswer, onForce });
    this.restart();
  }

  restart() {
    this.inForce = null;
    this.asked = []; // updates not answered yet, in order; a server answers each
  }

  update(members) {
    const session = { type: this.inForce?.type ?? "realtime", ...members };
    this.sendUpdate({ type: "session.update", session });
  }

  /** Sends an event somebody wrote; only updates have an answer of their own. */
  sendUpdate(event) {
    const id = this.send(event);
    if (id && event.type === "session.update") this.asked.push({ id, event });
  }

  /** Says whether the event was the answer to an update. */
  handle(event) {
    if (event.type === "session.created") this.force(event.session);
    else if (event.type === "session.updated") return this.updated(event.session);
    else if (event.type === "error") return this.refused(event.error ?? {});
    return false;
  }

  updated(session) {
    const changes = differences(this.inForce ?? {}, session);
    const asked = this.asked.shift();
    this.force(session);
    if (asked) this.onAnswer({ accepted: true, changes, update: asked.event });
    return asked !== undefined;
  }

  refused(error) {
    const which = this.asked.findIndex(({ id }) => id === error.event_id);
    if (which < 0) return false;
    const [asked] = this.asked.splice(which, 1);
    this.onAnswer({ accepted: false, error, update: asked.event });
    return true;
  }

  force(session) {
    this.inForce = session;
    this.onForce(session);
  }

  get detection() {
    return at(this.inForce, "audio.input.turn_detection") ?? null;
  }
}
