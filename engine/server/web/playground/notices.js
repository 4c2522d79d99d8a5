// What went wrong, said above the conversation and to screen readers, until it is put away or no longer true.

import { el } from "./dom.js";

const MOST = 4; // at a time; the oldest go

export class Notices {
  constructor(area) {
    this.area = area;
    this.shown = new Map();
  }

  /** Says `text` under a name; another text of that name takes its place. `action`: { label, run } of a button. */
  say(name, text, action = null) {
    this.drop(name);
    const away = el("button", { type: "button", class: "quiet", "aria-label": `Put away: ${text}`, text: "×" });
    away.addEventListener("click", () => this.drop(name));
    const notice = el("div", { class: "notice", "data-name": name }, el("p", { text }));
    if (action) {
      const button = el("button", { type: "button", text: action.label });
      button.addEventListener("click", () => {
        this.drop(name);
        action.run();
      });
      notice.append(button);
    }
    notice.append(away);
    this.shown.set(name, notice);
    this.area.append(notice);
    if (this.shown.size > MOST) this.drop(this.shown.keys().next().value);
  }

  drop(name) {
    this.shown.get(name)?.remove();
    this.shown.delete(name);
  }

  clear() {
    for (const name of [...this.shown.keys()]) this.drop(name);
  }
}
