// The page put together: what the server, the sound and the person do meets in here, and each part has its own module.

import { Controls } from "./controls.js";
import { Dialogue } from "./dialogue.js";
import { DialogueView } from "./dialogueview.js";
import { $ } from "./dom.js";
import { EventLog, shown } from "./eventlog.js";
import { EventView } from "./eventview.js";
import { KEY_PATTERN, Link } from "./link.js";
import { MicrophonePanel } from "./microphonepanel.js";
import { Notices } from "./notices.js";
import { LIMIT_MS, Recording } from "./recording.js";
import { RecordPanel } from "./recordpanel.js";
import { Replies } from "./replies.js";
import { Session } from "./session.js";
import { SessionForm } from "./sessionform.js";
import { Sound } from "./sound.js";
import { Speaking } from "./speaking.js";
import { Tabs } from "./tabs.js";
import { Timing } from "./timing.js";
import { TimingView } from "./timingview.js";
import { Waveform } from "./waveform.js";

const PER_MS = 24; // samples

class Page {
  constructor() {
    this.link = null;
    this.began = 0; // of the connection, on the page's clock
    this.hearing = false; // the server hears the person speak
    this.wantsReply = false; // a response to ask for once the present one is over
    this.stopping = null; // the interruption that is under way: { onset, noticed }
    this.notices = new Notices($("notices"));
    this.makeModels();
    this.makeViews();
    this.show("idle");
  }

  makeModels() {
    const send = (event) => this.link?.send(event) ?? "";
    this.sound = new Sound({
      onPiece: (piece) => this.piece(piece),
      onFull: () => this.notices.say("full", "Ten minutes of reply are waiting; what came after that is left out."),
      onLost: () => this.microphone.fails("The microphone was disconnected."),
      onSuspended: (suspended) => this.suspended(suspended),
    });
    this.speaking = new Speaking({
      send: (audio) => this.sendSound(audio),
      onTurn: (ended) => this.released(ended),
      onTooShort: () => {
        send({ type: "input_audio_buffer.clear" });
        this.notices.say("hold", "That was too short: hold the button while you speak.");
      },
    });
    this.replies = new Replies({
      sound: this.sound,
      send,
      onHeard: (itemId, ms) => this.dialogue.heard(itemId, ms),
      onFirst: (responseId, at) => {
        this.timing.heard(responseId, at);
        const turn = this.dialogue.turns.findLast((each) => each.responseId === responseId);
        if (turn) this.dialogue.onChange(turn);
      },
      onCut: (cut) => this.cut(cut),
      onStrange: (text) => this.notices.say("strange", text),
    });
    this.timing = new Timing({ onChange: () => this.timingView?.paint() });
    this.dialogue = new Dialogue({
      onChange: (turn) => this.dialogueView.change(turn, this.dialogue.turns),
      onRemove: (turn) => this.dialogueView.remove(turn),
      onSettled: (turn) => this.announce(turn),
    });
    this.log = new EventLog({
      onAdd: (entry) => this.eventView.add(entry),
      onGrow: (entry) => this.eventView.grow(entry),
      onDrop: (entry) => this.eventView.drop(entry),
    });
    this.session = new Session({
      send,
      onAnswer: (answer) => {
        this.form.answered(answer);
        this.controls.mode(this.session.detection === null);
      },
      onForce: (session) => this.inForce(session),
    });
    this.recording = new Recording({
      onFull: () =>
        this.notices.say(
          "recorded",
          `The recording has ${LIMIT_MS / 60000} minutes and ends here. The conversation goes on.`,
        ),
    });
  }

  makeViews() {
    const began = () => this.began;
    this.wave = new Waveform($("wave"));
    this.dialogueView = new DialogueView({
      list: $("turns"),
      area: $("turns-area"),
      empty: $("empty"),
      timingOf: (responseId) => this.timing.row(responseId),
      began,
      answerCall: (turn, output) => this.answerCall(turn, output),
    });
    this.eventView = new EventView({ log: this.log, began });
    this.timingView = new TimingView({
      figures: $("figures"),
      answers: $("answers"),
      stops: $("stops"),
      stopsArea: $("stops-area"),
      timing: () => this.timing,
    });
    this.timingView.paint();
    this.recordPanel = new RecordPanel({ recording: this.recording, timeline: () => this.timeline() });
    this.form = new SessionForm({
      update: (members) => this.session.update(members),
      sendUpdate: (event) => this.session.sendUpdate(event),
    });
    this.tabs = new Tabs(document.querySelector("[role=tablist]"), {
      onShow: (name) => name === "events" && this.eventView.toEnd(),
    });
    this.microphone = new MicrophonePanel({
      sound: this.sound,
      notices: this.notices,
      onChange: () => this.activity(),
    });
    this.controls = new Controls({
      connect: () => this.connect(),
      disconnect: () => this.link?.close(),
      mute: (muted) => this.mute(muted),
      push: (push) => this.choosePush(push),
      press: () => this.press(),
      release: () => this.speaking.release(),
      interrupt: () => this.interrupt(),
      say: (text) => this.say(text),
    });
  }

  // ---- the connection

  async connect() {
    const key = $("key").value.trim();
    if (key && !KEY_PATTERN.test(key)) {
      this.notices.say("link", "This key has characters that no key has: a space, perhaps, or a quotation mark.");
      return;
    }
    this.forget();
    this.show("connecting");
    const sounding = this.sound.open().then(
      () => void this.microphone.open(),
      (error) => error,
    );
    const link = new Link({
      base: new URL(".", document.baseURI),
      key,
      model: $("model").value.trim(),
      onCreated: async () => this.opened(link, await sounding),
      onEvent: (event) => this.receive(event),
      onSent: (event) => this.note("sent", event),
      onEnd: (end) => this.ended(end),
    });
    this.link = link;
  }

  /** The session is there, and the sound, or the reason why it is not. */
  opened(link, failure) {
    if (link !== this.link) return; // ended meanwhile
    if (!failure) {
      this.show("open");
      return;
    }
    link.close();
    this.notices.say("sound", `This browser cannot open its sound: ${failure.message}`);
  }

  /** A new conversation: nothing of the former one stays but the settings of the page. */
  forget() {
    this.began = performance.now();
    this.hearing = this.wantsReply = false;
    this.notices.clear();
    for (const part of [this.dialogue, this.log, this.timing, this.recordPanel, this.wave]) part.clear();
    for (const part of [this.speaking, this.replies, this.session]) part.restart();
  }

  async ended({ wanted, text }) {
    this.link = null;
    this.hearing = false;
    await this.sound.close();
    this.form.enable(null);
    this.show("idle");
    this.controls.say(text);
    if (!wanted) this.notices.say("link", text, { label: "Connect again", run: () => this.connect() });
  }

  suspended(is) {
    this.notices.drop("suspended");
    if (is)
      this.notices.say("suspended", "The browser holds the sound back.", {
        label: "Go on",
        run: () => this.sound.resume(),
      });
  }

  // ---- what comes

  receive(event) {
    const now = performance.now();
    this.note("received", event);
    try {
      this.heed(event, now);
    } catch {
      // Another server's mistake, or its next version: the page goes on, and the event can be looked at.
      this.notices.say("strange", `An event of the server is not as it should be: ${event.type}`);
    }
    this.activity();
  }

  heed(event, now) {
    const answered = this.session.handle(event);
    this.timing.handle(event, now);
    this.dialogue.handle(event, now);
    if (event.type === "input_audio_buffer.speech_started") this.speechStarted(event, now);
    else if (event.type === "input_audio_buffer.speech_stopped") this.speechStopped(event, now);
    this.replies.handle(event);
    if (event.type === "response.done") this.replyIfWanted();
    else if (event.type === "error" && !answered) this.complain(event.error ?? {});
  }

  note(direction, event) {
    const now = performance.now();
    const kept = this.log.add(direction, event, now);
    this.recordPanel.note(direction, kept, now);
  }

  speechStarted({ audio_start_ms: startMs }, now) {
    const { detection } = this.session;
    this.hearing = true;
    if (detection && detection.interrupt_response === false) return;
    const padding = detection?.prefix_padding_ms; // counted in by the server; semantic_vad does not tell its own
    this.stop({ onset: padding === undefined ? null : this.speaking.timeOf(startMs + padding), noticed: now }, false);
  }

  speechStopped({ audio_end_ms: endMs }, now) {
    this.hearing = false;
    const silence = this.session.detection?.silence_duration_ms ?? 0; // this, too, is counted in
    this.timing.asked("spoken", this.speaking.timeOf(endMs - silence), now);
  }

  /** Errors that no form shows. That a reply was over before it could be cancelled is none: nobody can know. */
  complain(error) {
    if (error.code === "response_cancel_not_active") return;
    this.notices.say("server", `The server says: ${error.message ?? error.code}`);
  }

  inForce(session) {
    this.form.enable(session);
    this.form.force(session);
    this.speaking.push = this.session.detection === null;
    if (this.speaking.push) this.hearing = false; // nobody listens for speech any more
    this.controls.mode(this.speaking.push);
    const format = session.audio?.output?.format?.type ?? "audio/pcm";
    if (format === "audio/pcm") this.notices.drop("format");
    else this.notices.say("format", `This page speaks audio/pcm only; ${format} would be noise.`);
  }

  announce(turn) {
    if (turn.text && turn.kind === "message")
      $("announcer").textContent = `${turn.role === "assistant" ? "Assistant" : "You"}: ${turn.text}`;
  }

  // ---- sound

  piece({ near, far, endsAt, tracks, waiting, underruns }) {
    if (document.body.dataset.state !== "open") return;
    if (this.sound.listening) this.speaking.piece(near, endsAt);
    this.replies.progress(tracks);
    this.wave.piece(near, far, this.hearing);
    this.recordPanel.piece(near, far, endsAt);
    const gaps = underruns > 0 ? `${underruns} gap${underruns > 1 ? "s" : ""}` : ""; // sound that came too late
    const ahead = waiting > 0 ? `${(waiting / PER_MS / 1000).toFixed(1)} s to come` : "";
    $("readout").textContent = gaps && ahead ? `${gaps} · ${ahead}` : gaps || ahead;
    if (tracks.length > 0) this.activity();
  }

  sendSound(audio) {
    const went = this.link?.sendSound(audio) ?? false;
    if (!went && this.link?.open)
      this.notices.say("slow", "The connection is too slow: some of what you said was left out.");
    return went;
  }

  // ---- what the person does

  mute(muted) {
    this.speaking.muted = muted;
    this.activity();
  }

  choosePush(push) {
    if (push) this.detectionBefore = this.session.detection;
    const detection = push ? null : (this.detectionBefore ?? { type: "server_vad" });
    this.session.update({ audio: { input: { turn_detection: detection } } });
    if (push) this.link?.send({ type: "input_audio_buffer.clear" }); // what was said before no button was held for
  }

  press() {
    this.notices.drop("hold");
    this.interrupt();
    this.speaking.press();
    this.activity();
  }

  released(ended) {
    this.link?.send({ type: "input_audio_buffer.commit" });
    this.reply("button", ended);
    this.activity();
  }

  async say(text) {
    await this.interrupt();
    const item = { type: "message", role: "user", content: [{ type: "input_text", text }] };
    this.link?.send({ type: "conversation.item.create", item });
    this.reply("typed", performance.now());
  }

  answerCall(turn, output) {
    const callId = this.log.entries.findLast(({ event }) => event.item?.id === turn.id)?.event.item.call_id;
    const item = { type: "function_call_output", call_id: callId, output };
    this.link?.send({ type: "conversation.item.create", item });
    this.reply("typed", performance.now());
  }

  /** Asks for a response, once the one that may be under way is over: a server makes one at a time. */
  reply(kind, ended) {
    this.timing.asked(kind, ended, ended);
    this.wantsReply = true;
    this.replyIfWanted();
  }

  replyIfWanted() {
    if (!this.wantsReply || this.replies.active.size > 0) return;
    this.wantsReply = false;
    this.link?.send({ type: "response.create" });
  }

  interrupt() {
    return this.stop({ onset: null, noticed: performance.now() }, true);
  }

  stop(stopping, cancel) {
    this.stopping = stopping;
    return this.replies.interrupt({ cancel });
  }

  cut({ itemId, heardMs, at }) {
    this.dialogue.cut(itemId, heardMs);
    if (heardMs > 0)
      this.timing.stopped({ ...this.stopping, silent: Math.max(at, this.stopping.noticed) + this.sound.outputLatency });
    this.wave.cut();
  }

  // ---- the page's state

  show(state) {
    document.body.dataset.state = state;
    this.controls.show(state);
    this.activity();
  }

  activity() {
    this.controls.activity({
      state: document.body.dataset.state,
      busy: this.replies.busy,
      playing: this.replies.tracks.size > 0,
      hearing: this.hearing || this.speaking.held,
      muted: this.speaking.muted,
      listening: this.sound.listening,
      push: this.speaking.push,
    });
  }

  timeline() {
    const { rows: answers, stops } = this.timing;
    const session = shown({ type: "", ...this.session.inForce });
    return this.recording.timeline({ session, turns: this.dialogue.turns, answers, stops });
  }
}

new Page();
