// The form of the session. It is filled from what is in force, sends what was changed, and the server judges.

import { $, chosen, el } from "./dom.js";
import { at, editable, put } from "./session.js";

const DETECTION = "audio.input.turn_detection";
const SILENCE = { threshold: 0.5, silence_duration_ms: 500, prefix_padding_ms: 300, idle_timeout_ms: null };
const MEANING = { eagerness: "auto" };

const IDLE = "Connect to see the session, and to change it while you talk.";
const LIVE = "What is in force. The server answers to changes, below.";

/** How a member's value stands in its field, and back. */
const KINDS = {
  output_modalities: { show: (value) => value?.[0] ?? "audio", read: (text) => [text] },
  "audio.input.noise_reduction": { show: (value) => value?.type ?? "", read: (text) => (text ? { type: text } : null) },
  "audio.input.transcription": { show: (value) => value?.model ?? "", read: (text) => (text ? { model: text } : null) },
  [DETECTION]: { show: (value) => value?.type ?? "", read: (text) => text || null },
  "audio.output.voice": {
    show: (value) => (typeof value === "object" ? JSON.stringify(value) : (value ?? "")),
    read: readVoice,
  },
};

function readVoice(text) {
  try {
    return text.startsWith("{") ? JSON.parse(text) : text;
  } catch {
    return text; // the server says what it thinks of it
  }
}

export class SessionForm {
  constructor({ update, sendUpdate }) {
    Object.assign(this, { update, sendUpdate });
    this.fields = [...$("session-form").querySelectorAll("[data-path]")];
    this.session = null;
    $("session-form").addEventListener("submit", (event) => this.apply(event));
    $("session-form").addEventListener("input", () => this.fit());
    $("revert").addEventListener("click", () => this.fill(this.session));
    $("session-json").addEventListener("submit", (event) => this.applyJson(event));
    $("json-reload").addEventListener("click", () => this.fillJson(this.session));
    $("session-view").addEventListener("change", () => this.choose());
    this.fit();
  }

  choose() {
    const json = chosen($("session-view")) === "json";
    $("session-form").hidden = json;
    $("session-json").hidden = !json;
    if (json && this.session) this.fillJson(this.session);
  }

  /** A session is there, or (null) none. */
  enable(session) {
    $("session-fields").disabled = $("json-fields").disabled = session === null;
    $("session-hint").textContent = session === null ? IDLE : LIVE;
    this.unmark();
    if (session === null) {
      this.session = null;
      $("answer").replaceChildren();
    }
  }

  /** Another configuration is in force. What somebody is just editing stays. */
  force(session) {
    const before = this.session;
    this.session = session;
    for (const field of this.fields) {
      if (before === null || this.text(field) === this.shown(field, before))
        this.show(field, this.shown(field, session));
    }
    if ($("session-json").hidden || before === null) this.fillJson(session);
    this.fit();
  }

  fill(session) {
    this.unmark();
    for (const field of this.fields) this.show(field, this.shown(field, session));
    this.fit();
  }

  fillJson(session) {
    $("json-text").value = JSON.stringify({ type: "session.update", session: editable(session) }, null, 2);
  }

  // ---- between values and fields

  /** What a field holds when `session` is in force. */
  shown(field, session) {
    const { path } = field.dataset;
    const value = at(session, path) ?? this.otherwise(path);
    if (field.type === "checkbox") return value !== false;
    return KINDS[path] ? KINDS[path].show(value) : String(value ?? "");
  }

  otherwise(path) {
    const name = path.startsWith(`${DETECTION}.`) ? path.slice(DETECTION.length + 1) : "";
    return SILENCE[name] ?? MEANING[name];
  }

  text(field) {
    return field.type === "checkbox" ? field.checked : field.value;
  }

  show(field, text) {
    if (field.type === "checkbox") field.checked = text;
    else {
      const unknown = field.tagName === "SELECT" && ![...field.options].some((option) => option.value === text);
      if (unknown) field.append(el("option", { value: text, text })); // a server may know more than this page
      field.value = text;
    }
  }

  value(field) {
    const { path } = field.dataset;
    if (field.type === "checkbox") return field.checked;
    if (KINDS[path]) return KINDS[path].read(field.value.trim());
    if (field.type === "number") return field.value === "" ? null : Number(field.value);
    return field.value;
  }

  // ---- sending

  changed() {
    return this.fields.filter((field) => this.text(field) !== this.shown(field, this.session));
  }

  apply(event) {
    event.preventDefault();
    this.unmark();
    const members = {};
    const changed = this.changed();
    for (const field of changed.filter(({ dataset }) => !dataset.path.startsWith(DETECTION))) {
      put(members, field.dataset.path, this.value(field));
    }
    if (changed.some(({ dataset }) => dataset.path.startsWith(DETECTION))) put(members, DETECTION, this.detection());
    if (Object.keys(members).length === 0) this.tell([el("p", { class: "hint", text: "Nothing was changed." })]);
    else this.update(members);
  }

  /** Turn detection goes whole: not every server keeps what a part leaves out. */
  detection() {
    const type = $("f-turns").value;
    if (!type) return null;
    const names = Object.keys(type === "semantic_vad" ? MEANING : SILENCE);
    const made = { type };
    for (const field of this.fields) {
      const name = field.dataset.path.slice(DETECTION.length + 1);
      const fits =
        field.dataset.path.startsWith(`${DETECTION}.`) && (names.includes(name) || name.endsWith("_response"));
      if (fits) made[name] = this.value(field);
    }
    return made;
  }

  applyJson(event) {
    event.preventDefault();
    try {
      const update = JSON.parse($("json-text").value);
      if (update === null || typeof update !== "object" || typeof update.type !== "string") {
        throw new SyntaxError("an event is an object with a type");
      }
      this.sendUpdate(update);
    } catch (error) {
      this.tell([el("p", { class: "refused", text: `Not sent, for this is no JSON of an event: ${error.message}` })]);
    }
  }

  // ---- answers

  /** What the server made of an update. */
  answered({ accepted, changes, error }) {
    if (!accepted) {
      this.mark(error.param);
      const where = [error.code, error.param].filter(Boolean).join(" · ");
      this.tell([
        el("p", { class: "refused" }, el("strong", { text: "Refused. " }), error.message ?? ""),
        el("p", { class: "hint", text: where }),
      ]);
    } else if (changes.length === 0) {
      this.tell([el("p", { class: "accepted", text: "Accepted; nothing is different." })]);
    } else {
      const lines = changes.map(({ path, before, after }) =>
        el("li", {}, el("code", { text: path }), ` ${brief(before)} → `, el("strong", { text: brief(after) })),
      );
      this.tell([el("p", { class: "accepted" }, el("strong", { text: "In force." })), el("ul", {}, ...lines)]);
      this.fill(this.session);
    }
  }

  tell(nodes) {
    $("answer").replaceChildren(...nodes);
    $("answer").scrollIntoView({ block: "nearest" });
  }

  mark(param) {
    const path = (param ?? "").replace(/^session\./, "");
    const field =
      this.fields.find(({ dataset }) => dataset.path === path) ??
      this.fields.find(({ dataset }) => path.startsWith(`${dataset.path}.`));
    if (!field) return;
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", "answer");
  }

  unmark() {
    for (const field of this.fields) {
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
    }
  }

  /** Shows the fields that belong to the chosen turn detection. */
  fit() {
    $("session-form").dataset.detection = $("f-turns").value || "none";
  }
}

function brief(value) {
  const text = value === undefined ? "unset" : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
