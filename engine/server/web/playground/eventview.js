// The events on the page: one line each, its JSON when it is opened.

import { $, chosen, clockTime, el, inWords, soon } from "./dom.js";
import { passes } from "./eventlog.js";

const NEAR_END = 60; // pixels from the end that still count as reading the newest

export class EventView {
  /** `began()`: when the connection did, on the page's clock. */
  constructor({ log, began }) {
    this.log = log;
    this.began = began;
    this.list = $("events");
    this.area = $("events-area");
    this.filter = { which: "all", words: "" };
    this.shown = new Map(); // entry to its element
    this.fresh = [];
    this.grown = new Set();
    this.total = 0;
    this.paint = soon(() => this.refresh());
    $("events-which").addEventListener("change", () => this.choose());
    $("events-words").addEventListener("input", () => this.choose());
    $("events-clear").addEventListener("click", () => log.clear());
  }

  add(entry) {
    this.total += 1;
    this.fresh.push(entry);
    this.paint();
  }

  grow(entry) {
    this.grown.add(entry);
    this.paint();
  }

  drop(entry) {
    this.total -= 1;
    this.shown.get(entry)?.remove();
    this.shown.delete(entry);
    if (this.fresh[0] === entry) this.fresh.shift();
    this.paint();
  }

  /** Shows what passes the filter, which is another one now. */
  choose() {
    this.filter = { which: chosen($("events-which")), words: $("events-words").value.trim() };
    this.list.replaceChildren();
    this.shown.clear();
    this.fresh = [...this.log.entries];
    this.refresh();
    this.toEnd();
  }

  /** Shows the newest: for a panel that was not seen while they came. */
  toEnd() {
    this.area.scrollTop = this.area.scrollHeight;
  }

  refresh() {
    const { area, list } = this;
    const atEnd = area.scrollHeight - area.scrollTop - area.clientHeight < NEAR_END;
    const rows = document.createDocumentFragment();
    for (const entry of this.fresh) {
      if (passes(entry, this.filter)) rows.append(this.row(entry));
    }
    this.fresh = [];
    list.append(rows);
    for (const entry of this.grown) this.shown.get(entry)?.querySelector(".sum").replaceChildren(sum(entry));
    this.grown.clear();
    const seen = this.shown.size;
    $("events-count").textContent = seen === this.total ? `${seen}` : `${seen} of ${this.total}`;
    if (atEnd) area.scrollTop = area.scrollHeight;
  }

  row(entry) {
    const sent = entry.direction === "sent";
    const summary = el(
      "summary",
      {},
      el("span", { class: "time", text: seconds(entry.at - this.began()) }),
      el("span", { class: "way", "aria-label": sent ? "sent" : "received", text: sent ? "↑" : "↓" }),
      el("span", { class: "type" }, ...breakable(entry.type)),
      el("span", { class: "sum" }, sum(entry)),
    );
    const details = el("details", {}, summary);
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(json(entry));
    });
    const made = el("li", { class: `event ${sent ? "near" : "far"}${entry.failed ? " failed" : ""}` }, details);
    this.shown.set(entry, made);
    return made;
  }
}

function json({ run }) {
  const text = JSON.stringify(run.length === 1 ? run[0] : run, null, 2);
  return el("pre", { class: "code", tabindex: "0", text });
}

/** A type, with places where a narrow line may break it. */
const breakable = (type) => type.split(/(?<=[._])/).flatMap((part) => [part, el("wbr")]);

const seconds = (ms) => (ms < 60000 ? (ms / 1000).toFixed(2) : `${clockTime(ms)}.${Math.floor((ms % 1000) / 100)}`);

function sum(entry) {
  if (entry.ms > 0) return `${entry.times > 1 ? `×${entry.times} · ` : ""}${inWords(entry.ms)}`;
  if (entry.text) return entry.text;
  const { event } = entry;
  return (
    event.error?.code ?? event.error?.message ?? event.transcript ?? event.item?.type ?? event.response?.status ?? ""
  );
}
