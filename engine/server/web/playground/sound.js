// Microphone and loudspeaker of the page: one AudioContext at the device's own rate, one worklet node for both.

import { Clock } from "./clock.js";
import { openMicrophone } from "./microphone.js";

const WORKLET = new URL("duplex.js", import.meta.url);
const OPENING_MS = 10000;

export class Sound {
  /** `onPiece({ near, far, endsAt, tracks, waiting, underruns })` comes 25 times a second; `onLost()` when the
   * microphone ends. */
  constructor({ onPiece, onFull, onLost, onSuspended }) {
    Object.assign(this, { onPiece, onFull, onLost, onSuspended });
    this.context = null;
    this.stream = null;
    this.flushes = new Map();
    this.flushId = 0;
  }

  /** Opens the loudspeaker. Call it from a click: browsers start no sound without one. */
  async open() {
    const context = new AudioContext({ latencyHint: "interactive" });
    this.context = context;
    const running = context.resume(); // now, in the click: some browsers start no sound later on
    await context.audioWorklet.addModule(WORKLET);
    if (this.context !== context) throw new Error("it was closed meanwhile");
    this.clock = new Clock(context.sampleRate);
    this.node = new AudioWorkletNode(context, "bargein-duplex", {
      numberOfInputs: 1,
      numberOfOutputs: 1,
      outputChannelCount: [1],
      channelCount: 1,
      channelCountMode: "explicit", // two microphones of a headset become one
    });
    this.node.port.onmessage = ({ data }) => this.heard(data);
    this.node.connect(context.destination);
    await Promise.race([running, new Promise((resolve) => setTimeout(resolve, OPENING_MS))]);
    context.onstatechange = () => this.onSuspended(context.state !== "running" && context.state !== "closed");
    this.onSuspended(context.state !== "running");
  }

  get rate() {
    return this.context?.sampleRate ?? 0;
  }

  /** Milliseconds from a sample's leaving the worklet to a person's ear, as far as the browser knows. */
  get outputLatency() {
    const { outputLatency, baseLatency } = this.context ?? {};
    return (outputLatency || baseLatency || 0) * 1000;
  }

  /** Opens a microphone in place of the one there was. Throws MicrophoneError. */
  async listen(settings) {
    const stream = await openMicrophone(settings);
    if (!this.context) return stopTracks(stream); // closed while the browser asked
    this.deafen();
    this.stream = stream;
    this.source = this.context.createMediaStreamSource(stream);
    this.source.connect(this.node);
    const [track] = stream.getTracks();
    track.addEventListener("ended", () => {
      if (this.stream !== stream) return;
      this.deafen();
      this.onLost();
    });
    return undefined;
  }

  get listening() {
    return this.stream !== null;
  }

  deafen() {
    this.source?.disconnect();
    if (this.stream) stopTracks(this.stream);
    this.source = null;
    this.stream = null;
  }

  /** Queues 24 kHz samples (the array is given away) for a track. */
  push(key, samples) {
    this.node?.port.postMessage({ do: "push", key, samples }, [samples.buffer]);
  }

  end(key) {
    this.node?.port.postMessage({ do: "end", key });
  }

  /** Falls silent; resolves to the positions of the tracks that were not through, and when that was. */
  flush() {
    if (!this.node) return Promise.resolve({ positions: [], at: performance.now() });
    this.flushId += 1;
    const id = this.flushId;
    this.node.port.postMessage({ do: "flush", id });
    return new Promise((resolve) => this.flushes.set(id, resolve));
  }

  resume() {
    return this.context?.resume();
  }

  async close() {
    this.deafen();
    this.node?.port.postMessage({ do: "stop" });
    for (const resolve of this.flushes.values()) resolve({ positions: [], at: performance.now() });
    this.flushes.clear();
    const { context } = this;
    this.context = null;
    this.node = null;
    if (!context) return;
    context.onstatechange = null;
    await context.close();
  }

  heard(message) {
    if (!this.context) return;
    if (message.what === "flushed") {
      const resolve = this.flushes.get(message.id);
      this.flushes.delete(message.id);
      resolve?.({ positions: message.positions, at: this.clock.at(message.frame) });
    } else if (message.what === "full") this.onFull();
    else if (message.what === "piece") this.piece(message);
  }

  piece({ near, far, frame, tracks, waiting, underruns }) {
    this.clock.note(frame, performance.now());
    const told = tracks.map(({ key, played, firstFrame, finished }) => ({
      key,
      played,
      finished,
      firstAt: firstFrame === null ? null : this.clock.at(firstFrame) + this.outputLatency,
    }));
    this.onPiece({ near, far, endsAt: this.clock.at(frame), tracks: told, waiting, underruns });
  }
}

function stopTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}
