// Both directions in one node of the audio thread, so that they share one clock: what was said and what was heard at a
// sample stand beside each other in every message, and so in the recording.

import { Capture } from "./capture.js";
import { Playback } from "./playback.js";

class Duplex extends AudioWorkletProcessor {
  constructor() {
    super();
    this.near = new Capture(sampleRate);
    this.far = new Capture(sampleRate); // what the loudspeaker was given, for the pictures and the recording
    this.playback = new Playback(sampleRate);
    this.silence = new Float32Array(128);
    this.running = true;
    this.port.onmessage = ({ data }) => this.obey(data);
  }

  obey(message) {
    if (message.do === "push") {
      if (!this.playback.push(message.key, message.samples)) this.port.postMessage({ what: "full", key: message.key });
    } else if (message.do === "end") this.playback.end(message.key);
    else if (message.do === "flush") {
      this.port.postMessage({ what: "flushed", id: message.id, positions: this.playback.flush(), frame: currentFrame });
    } else if (message.do === "stop") this.running = false;
  }

  process([microphone], [speaker]) {
    const heard = speaker[0];
    this.playback.render(heard, currentFrame);
    this.near.push(microphone[0] ?? this.silenceOf(heard.length)); // no input at all: there is no microphone
    this.far.push(heard);
    if (this.near.full) this.tell(currentFrame + heard.length);
    return this.running;
  }

  silenceOf(length) {
    if (this.silence.length !== length) this.silence = new Float32Array(length);
    return this.silence;
  }

  tell(frame) {
    const near = this.near.take();
    const far = this.far.take();
    const { waiting, underruns } = this.playback;
    const told = { what: "piece", near, far, frame, tracks: this.playback.report(), waiting, underruns };
    this.port.postMessage(told, [near.buffer, far.buffer]);
  }
}

registerProcessor("bargein-duplex", Duplex);
