// The sound of replies: into the loudspeaker's queue, and cut off there when the person speaks.
//
// After an interruption the server is told what was really played, so that it remembers no word that nobody heard: an
// item that was played in part is truncated, one that never began is deleted once its response is over.

import { fromBase64 } from "./pcm.js";

const PER_MS = 24; // samples

export class Replies {
  constructor({ sound, send, onHeard, onFirst, onCut, onStrange }) {
    Object.assign(this, { sound, send, onHeard, onFirst, onCut, onStrange });
    this.restart();
  }

  restart() {
    this.tracks = new Map(); // by key; from the first sound of a content until it is through or cut
    this.keys = 0;
    this.active = new Set(); // responses under way
    this.silenced = new Set(); // those of them whose further sound is not wanted
    this.unheard = new Map(); // items to delete, to their response
  }

  /** Whether a reply is being made or heard. */
  get busy() {
    return this.active.size > 0 || this.tracks.size > 0;
  }

  handle(event) {
    if (event.type === "response.created") this.active.add(event.response.id);
    else if (event.type === "response.output_audio.delta") this.sounds(event);
    else if (event.type === "response.output_audio.done") this.complete((track) => track.itemId === event.item_id);
    else if (event.type === "response.done") this.done(event.response.id);
  }

  sounds({ response_id: responseId, item_id: itemId, content_index: contentIndex, delta }) {
    if (this.silenced.has(responseId)) return;
    let samples;
    try {
      samples = fromBase64(delta);
    } catch {
      this.onStrange("The server sent sound that is no base64.");
      return;
    }
    if (samples.length === 0) return; // what holds a track holds sound, and that has a bound
    const track = this.track(responseId, itemId, contentIndex);
    track.received += samples.length;
    this.sound.push(track.key, samples);
  }

  track(responseId, itemId, contentIndex) {
    for (const track of this.tracks.values()) {
      if (track.itemId === itemId && track.contentIndex === contentIndex) return track;
    }
    this.keys += 1;
    const track = { key: this.keys, responseId, itemId, contentIndex, received: 0, begun: false };
    this.tracks.set(track.key, track);
    return track;
  }

  complete(which) {
    for (const track of this.tracks.values()) {
      if (which(track)) this.sound.end(track.key);
    }
  }

  done(responseId) {
    this.active.delete(responseId);
    this.silenced.delete(responseId);
    this.complete((track) => track.responseId === responseId);
    for (const [itemId, response] of this.unheard) {
      if (response !== responseId) continue;
      this.unheard.delete(itemId);
      this.send({ type: "conversation.item.delete", item_id: itemId });
    }
  }

  /** Where the tracks are, as the audio thread counts. */
  progress(told) {
    for (const { key, played, firstAt, finished } of told) {
      const track = this.tracks.get(key);
      if (!track) continue;
      if (firstAt !== null && !track.begun) {
        track.begun = true;
        this.onFirst(track.responseId, firstAt);
      }
      this.onHeard(track.itemId, played / PER_MS);
      if (finished) this.tracks.delete(key);
    }
  }

  /** Stops what is heard and what would be. `cancel` where the server does not do so by itself. */
  async interrupt({ cancel }) {
    if (!this.busy) return;
    for (const responseId of this.active) {
      this.silenced.add(responseId);
      if (cancel) this.send({ type: "response.cancel", response_id: responseId });
    }
    const cut = new Map(this.tracks);
    this.tracks.clear(); // a new reply may begin while the audio thread answers
    const { positions, at } = await this.sound.flush();
    for (const { key, played } of positions) {
      if (cut.has(key)) this.cut(cut.get(key), played, at);
    }
  }

  cut(track, played, at) {
    const { itemId, contentIndex, responseId } = track;
    const heardMs = Math.floor(Math.min(played, track.received) / PER_MS);
    if (heardMs > 0) {
      this.send({
        type: "conversation.item.truncate",
        item_id: itemId,
        content_index: contentIndex,
        audio_end_ms: heardMs,
      });
    } else if (this.active.has(responseId)) this.unheard.set(itemId, responseId);
    else this.send({ type: "conversation.item.delete", item_id: itemId });
    this.onCut({ itemId, responseId, heardMs, at });
  }
}
