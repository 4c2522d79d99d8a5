// The recording on the page: whether there is one, how long it is, and the two files it can be taken away as.

import { $, clockTime, el } from "./dom.js";

export class RecordPanel {
  /** `timeline()` gives what the second file holds. */
  constructor({ recording, timeline }) {
    this.recording = recording;
    $("download-wav").addEventListener("click", () => download(recording.wav(), "conversation.wav"));
    $("download-json").addEventListener("click", () => {
      const text = JSON.stringify(timeline(), null, 1);
      download(new Blob([text], { type: "application/json" }), "conversation.json");
    });
    this.refresh();
  }

  piece(near, far, endsAt) {
    if (!$("keep").checked) return;
    this.recording.piece(near, far, endsAt);
    this.refresh();
  }

  note(direction, event, at) {
    if ($("keep").checked) this.recording.note(direction, event, at);
  }

  clear() {
    this.recording.clear();
    this.refresh();
  }

  refresh() {
    const length = clockTime(this.recording.ms);
    if ($("recorded").textContent !== length) $("recorded").textContent = length;
    $("download-wav").disabled = $("download-json").disabled = this.recording.samples === 0;
  }
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000); // the browser has begun to read it by then
}
