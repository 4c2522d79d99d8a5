// Which microphone is open, and what is said when none is.

import { $, el } from "./dom.js";
import { microphones } from "./microphone.js";

export class MicrophonePanel {
  /** `onChange()`: there is a microphone now, or none any more. */
  constructor({ sound, notices, onChange }) {
    Object.assign(this, { sound, notices, onChange });
    $("device").addEventListener("change", () => this.open());
    $("cancel-echo").addEventListener("change", () => this.open());
  }

  /** Opens the chosen one. A person may have to be asked, so nothing should wait for this. */
  async open() {
    if (!this.sound.context) return;
    this.notices.drop("microphone");
    try {
      await this.sound.listen({ deviceId: $("device").value, cancelEcho: $("cancel-echo").checked });
      await this.list();
    } catch (error) {
      this.fails(error.message);
    }
    this.onChange();
  }

  fails(text) {
    this.notices.say("microphone", `${text} You can type meanwhile.`, { label: "Try again", run: () => this.open() });
    this.onChange();
  }

  /** Names are known only once a microphone was opened. */
  async list() {
    const chosen = $("device").value;
    const found = await microphones();
    const options = found.map(({ id, name }) => el("option", { value: id, text: name }));
    $("device").replaceChildren(el("option", { value: "", text: "the browser's choice" }), ...options);
    $("device").value = found.some(({ id }) => id === chosen) ? chosen : "";
  }
}
