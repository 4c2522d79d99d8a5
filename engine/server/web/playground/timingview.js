// How long each answer took, as a bar of its parts and in figures.

import { el, inWords, soon } from "./dom.js";
import { median, parts } from "./timing.js";

const KINDS = { spoken: "to speech", button: "to the button", typed: "to typed words", asked: "asked for" };
const PARTS = ["noticing", "thinking", "playing"];

export class TimingView {
  constructor({ figures, answers, stops, stopsArea, timing }) {
    Object.assign(this, { figures, answers, stops, stopsArea, timing });
    this.paint = soon(() => this.refresh());
  }

  refresh() {
    const { rows, stops } = this.timing();
    const totals = rows
      .filter((row) => row.kind !== "asked")
      .map((row) => parts(row).total)
      .filter((ms) => ms !== null);
    const silences = stops.map(({ noticed, silent }) => silent - noticed);
    this.figures.replaceChildren(
      ...figure("Median", inWords(median(totals))),
      ...figure("Slowest", inWords(totals.length ? Math.max(...totals) : null)),
      ...figure("To silence", inWords(median(silences))),
      ...figure("Answers", `${rows.length}`),
    );
    const longest = Math.max(1, ...totals);
    this.answers.replaceChildren(...rows.map((row, n) => this.answer(row, n, longest)).reverse());
    this.stopsArea.hidden = stops.length === 0;
    this.stops.replaceChildren(...stops.map(stop).reverse());
  }

  answer(row, n, longest) {
    const known = parts(row);
    const title = el(
      "p",
      {},
      el("span", { text: `${n + 1}. ${KINDS[row.kind]}` }),
      el("strong", { text: known.total === null ? row.status || "under way" : inWords(known.total) }),
    );
    const bar = el("div", { class: "bar", "aria-hidden": "true" });
    for (const name of PARTS) {
      const piece = el("span", { class: name });
      piece.style.width = `${(100 * Math.max(0, known[name] ?? 0)) / longest}%`;
      bar.append(piece);
    }
    const figures = PARTS.map((name) => el("span", { class: name, text: inWords(known[name]) }));
    return el("li", {}, title, bar, el("p", { class: "parts" }, ...figures));
  }
}

const figure = (name, value) => [el("div", {}, el("dt", { text: name }), el("dd", { text: value }))];

function stop({ onset, noticed, silent }, n) {
  const since = onset === null ? "" : `, ${inWords(silent - onset)} after you began`;
  return el(
    "li",
    {},
    el("p", {}, el("span", { text: `${n + 1}. silent${since}` }), el("strong", { text: inWords(silent - noticed) })),
  );
}
