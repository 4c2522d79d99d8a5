// The turns on the page. What of an answer is still to be heard is pale; what nobody will hear is struck out.

import { clockTime, el, inWords, soon } from "./dom.js";
import { heardLetters } from "./dialogue.js";
import { parts } from "./timing.js";

const NEAR_END = 80; // pixels from the end that still count as reading the newest
const CALLS = { function_call: "calls ", function_call_output: "returns" };

export class DialogueView {
  /** `timingOf(responseId)` gives a row of the timing or undefined, `began()` when the session did;
   * `answerCall(turn, output)` takes a tool's result. */
  constructor({ list, area, empty, timingOf, began, answerCall }) {
    Object.assign(this, { list, area, empty, timingOf, began, answerCall });
    this.shown = new Map(); // turn to its element
    this.stale = new Set();
    this.paint = soon(() => this.refresh());
    this.following = true; // the newest is what is read
    area.addEventListener("scroll", () => {
      this.following = area.scrollHeight - area.scrollTop - area.clientHeight < NEAR_END;
    });
    new ResizeObserver(() => this.follow()).observe(area);
  }

  follow() {
    if (this.following) this.area.scrollTop = this.area.scrollHeight;
  }

  /** A turn is new or changed; `turns` is their order. */
  change(turn, turns) {
    this.turns = turns;
    this.stale.add(turn);
    this.paint();
  }

  remove(turn) {
    this.stale.delete(turn);
    this.shown.get(turn)?.remove();
    this.shown.delete(turn);
    this.empty.hidden = this.shown.size > 0;
  }

  refresh() {
    for (const turn of this.stale) {
      if (!this.shown.has(turn)) this.place(turn);
      this.fill(turn, this.shown.get(turn));
    }
    this.stale.clear();
    this.empty.hidden = this.shown.size > 0;
    this.follow();
  }

  place(turn) {
    const made = el("li", { "data-item": turn.id }, el("p", { class: "who" }), el("div", { class: "said" }));
    const after = this.turns.slice(this.turns.indexOf(turn) + 1).find((each) => this.shown.has(each));
    this.list.insertBefore(made, after ? this.shown.get(after) : null);
    this.shown.set(turn, made);
  }

  fill(turn, made) {
    made.className = `turn ${turn.role === "assistant" ? "far" : "near"}${turn.interrupted ? " interrupted" : ""}`;
    const [who, said] = made.children;
    who.replaceChildren(...this.headline(turn));
    if (turn.kind === "message" || turn.kind === "") said.replaceChildren(...words(turn));
    else this.fillCall(turn, said);
  }

  headline(turn) {
    const name = { assistant: "Assistant", user: "You", system: "System" }[turn.role] ?? turn.role;
    const made = [el("strong", { text: name }), el("span", { class: "when", text: clockTime(turn.at - this.began()) })];
    const fact = (text, kind = "") => made.push(el("span", { class: `fact ${kind}`, text }));
    const total = this.total(turn);
    if (total !== null) fact(`answered in ${inWords(total)}`);
    if (turn.role === "assistant" && turn.interrupted) {
      fact(`interrupted: ${inWords(turn.heardMs)} of ${inWords(turn.spokenMs)} heard`, "alarm");
    } else if (turn.spokenMs > 0 && !turn.listening) fact(inWords(turn.spokenMs));
    if (turn.why && turn.status === "failed") fact(`failed: ${turn.why}`, "alarm");
    else if (turn.why && turn.status === "incomplete") fact(`incomplete: ${turn.why}`, "alarm");
    return made;
  }

  total(turn) {
    if (!turn.responseId || this.turns.find((each) => each.responseId === turn.responseId) !== turn) return null;
    const row = this.timingOf(turn.responseId);
    return row && row.kind !== "asked" ? parts(row).total : null;
  }

  fillCall(turn, said) {
    const title = CALLS[turn.kind] ?? `${turn.kind.replaceAll("_", " ")} `;
    const code = el("pre", { class: "code", text: turn.text });
    if (said.querySelector("form")) {
      said.querySelector("pre").textContent = turn.text;
      return; // somebody may be writing in it
    }
    said.replaceChildren(
      el("p", {}, el("em", { text: title }), el("strong", { class: "code", text: turn.name })),
      code,
    );
    if (turn.kind === "function_call") said.append(this.answerForm(turn));
  }

  answerForm(turn) {
    const field = el("input", {
      "aria-label": `Output of ${turn.name}`,
      placeholder: "Its output, then the answer goes on",
    });
    const form = el("form", { class: "say" }, field, el("button", { type: "submit", text: "Return" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.answerCall(turn, field.value);
      form.remove();
    });
    return form;
  }
}

function words(turn) {
  if (turn.listening) return [el("p", { class: "pending", text: "listening…" })];
  const { text } = turn;
  if (text === "") return [el("p", { class: "pending", text: wordless(turn) })];
  const heard = heardLetters(turn);
  const made = [text.slice(0, heard)];
  const rest = text.slice(heard);
  if (rest && turn.interrupted)
    made.push(el("span", { class: "unseen", text: " [not heard:] " }), el("del", { text: rest }));
  else if (rest) made.push(el("span", { class: "coming", text: rest }));
  return [el("p", {}, ...made)];
}

function wordless(turn) {
  if (turn.unclear) return `spoken; ${turn.unclear}`;
  if (turn.role === "assistant" && turn.status === "in_progress") return "…";
  return turn.role === "assistant" && turn.spokenMs === 0 ? "nothing was said" : "spoken, not written down";
}
