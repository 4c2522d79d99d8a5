// Buttons, keys and the line that says how things are.

import { $, chosen } from "./dom.js";

const KEYBOARD = matchMedia("(hover: hover) and (pointer: fine)"); // else a field with the focus covers half the screen
const STATES = { idle: "Not connected", connecting: "Connecting…" };

export class Controls {
  /** `act` has a function for each thing a person can do. */
  constructor(act) {
    this.act = act;
    this.muted = false;
    this.holding = false;
    $("connect").addEventListener("submit", (event) => {
      event.preventDefault();
      act.connect();
    });
    $("disconnect").addEventListener("click", () => act.disconnect());
    $("mute").addEventListener("click", () => this.toggleMute());
    $("mode").addEventListener("change", () => act.push(chosen($("mode")) === "push"));
    $("interrupt").addEventListener("click", () => act.interrupt());
    $("say").addEventListener("submit", (event) => this.typed(event));
    this.holdButton($("hold"));
  }

  toggleMute() {
    this.muted = !this.muted;
    $("mute").setAttribute("aria-pressed", String(this.muted));
    $("mute")
      .querySelector("use")
      .setAttribute("href", this.muted ? "#i-muted" : "#i-mic");
    $("mute").querySelector("span").textContent = this.muted ? "Muted" : "Mute";
    this.act.mute(this.muted);
  }

  typed(event) {
    event.preventDefault();
    const text = $("words").value.trim();
    if (!text) return;
    $("words").value = "";
    this.act.say(text);
  }

  /** The button is held by pointer or key; the space bar holds it also where nothing else would take it. */
  holdButton(button) {
    button.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      this.press();
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
      button.addEventListener(name, () => this.release());
    }
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch is no wish for a menu
    addEventListener("blur", () => this.release());
    addEventListener("keydown", (event) => {
      const here = document.activeElement === button && (event.key === " " || event.key === "Enter");
      const anywhere = event.key === " " && !button.hidden && document.activeElement === document.body;
      if (!here && !anywhere) return;
      event.preventDefault();
      if (!event.repeat) this.press();
    });
    addEventListener("keyup", (event) => {
      if (event.key === " " || event.key === "Enter") this.release();
    });
  }

  press() {
    if (this.holding) return;
    this.holding = true;
    $("hold").classList.add("held");
    this.act.press();
  }

  release() {
    if (!this.holding) return;
    this.holding = false;
    $("hold").classList.remove("held");
    this.act.release();
  }

  /** "idle", "connecting" or "open". The focus goes where the next thing is done, if it was on what vanishes. */
  show(state) {
    const open = state === "open";
    const { activeElement } = document;
    const moved = $("dock").contains(activeElement) || [$("disconnect"), document.body].includes(activeElement);
    $("connect").hidden = open;
    $("controls").hidden = !open;
    $("disconnect").hidden = state === "idle";
    $("disconnect").textContent = open ? "Disconnect" : "Cancel";
    $("connect-button").disabled = state === "connecting";
    $("connect-button").textContent = state === "connecting" ? "Connecting…" : "Connect";
    const next = {
      open: KEYBOARD.matches ? $("words") : $("dock"),
      connecting: $("disconnect"),
      idle: $("connect-button"),
    };
    if (moved && this.shown) next[state].focus();
    this.shown = true; // a page that has just been loaded takes no focus
    if (open) this.say("Connected.");
    else this.release();
  }

  /** Push to talk, or an open microphone: what is in force. */
  mode(push) {
    $("mode").querySelector(`[value=${push ? "push" : "open"}]`).checked = true;
    $("hold").hidden = !push;
    if (!push) this.release();
  }

  /** For screen readers. */
  say(text) {
    $("announcer").textContent = text;
  }

  activity({ state, busy, playing, hearing, muted, listening, push }) {
    const [kind, text] = doing({ state, playing, hearing, muted, listening, push, busy });
    const status = $("status");
    if (status.textContent !== text) status.textContent = text;
    status.dataset.kind = kind;
    $("interrupt").disabled = !busy;
  }
}

function doing({ state, playing, hearing, muted, listening, push, busy }) {
  if (state !== "open") return [state, STATES[state]];
  if (playing && !hearing) return ["answering", "Answering"];
  if (!listening) return ["deaf", "No microphone"];
  if (muted) return ["deaf", "Muted"];
  if (hearing) return ["hearing", "Hearing you"];
  if (busy) return ["answering", "Thinking"];
  return ["ready", push ? "Hold to talk" : "Listening"];
}
