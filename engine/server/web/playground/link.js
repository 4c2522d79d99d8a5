// The WebSocket to the server, from the first try to the reason of its end.

const PROTOCOL = "realtime";
const KEY_PREFIX = "openai-insecure-api-key."; // how a browser, which sets no headers on a WebSocket, hands over a key
const MOST_WAITING = 2 ** 20; // bytes the browser may hold back for us: 16 s of sound; what is said then is left out

const CLOSED = {
  1000: "The server ended the session.",
  1001: "The server is going away, or the session's time is over.",
  1006: "The connection was lost.",
  1008: "The server refused the session.",
  1009: "A message was too large for the server.",
  1011: "The server failed.",
  1013: "The server is overloaded, or this browser read too slowly.",
};

const REFUSED = {
  401: "The server wants a valid key.",
  403: "The server does not let this page in.",
  429: "Too many requests: try again in a while.",
  503: "The server is full: try again in a while.",
};

/** What an API key may be made of to be sent as a subprotocol. */
export const KEY_PATTERN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

export class Link {
  constructor({ base, key, model, onCreated, onEvent, onSent, onEnd }) {
    Object.assign(this, { base, key, onCreated, onEvent, onSent, onEnd });
    const url = new URL("v1/realtime", base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    if (model) url.searchParams.set("model", model);
    this.opened = false;
    this.problem = ""; // the last error the server told before it closed
    this.count = 0;
    this.leftOut = 0; // messages of sound that a slow network had no room for
    this.socket = new WebSocket(url, key ? [PROTOCOL, KEY_PREFIX + key] : [PROTOCOL]);
    this.socket.onopen = () => {
      this.opened = true;
    };
    this.socket.onmessage = ({ data }) => this.receive(data);
    this.socket.onclose = (event) => this.ended(event);
  }

  get open() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** Sends an event under an id of ours and returns that; "" where the socket is not open. */
  send(event) {
    if (!this.open) return "";
    this.count += 1;
    const sent = { event_id: `page_${this.count}`, ...event };
    this.socket.send(JSON.stringify(sent));
    this.onSent(sent);
    return sent.event_id;
  }

  /** Sends sound, unless too much waits already. Sound bears no id: there is much of it. Says whether it went. */
  sendSound(audio) {
    if (!this.open) return false;
    if (this.socket.bufferedAmount > MOST_WAITING) {
      this.leftOut += 1;
      return false;
    }
    const event = { type: "input_audio_buffer.append", audio };
    this.socket.send(JSON.stringify(event));
    this.onSent(event);
    return true;
  }

  close() {
    this.closing = true;
    this.socket.close(1000, "the page is done");
  }

  receive(data) {
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      return; // not ours to repair, and nothing to be done with it
    }
    if (event === null || typeof event !== "object" || typeof event.type !== "string") return;
    this.problem = event.type === "error" ? (event.error?.message ?? "") : "";
    if (event.type === "session.created") this.onCreated(event);
    this.onEvent(event);
  }

  async ended({ code, reason }) {
    if (this.closing) this.onEnd({ wanted: true, text: "Disconnected." });
    else if (this.opened) this.onEnd({ wanted: false, text: closedText(code, reason, this.problem) });
    else this.onEnd({ wanted: false, text: await this.whyRefused() });
  }

  /** A browser does not tell how a server refused a WebSocket: another request may. */
  async whyRefused() {
    const headers = this.key ? { Authorization: `Bearer ${this.key}` } : {};
    try {
      const answer = await fetch(new URL("v1/models", this.base), { headers, cache: "no-store" });
      const mayNotAsk = answer.status === 403 && this.key.startsWith("ek_"); // a client secret opens sessions only
      return (
        (mayNotAsk ? null : REFUSED[answer.status]) ?? "The server answers, but opened no session: it may be full."
      );
    } catch {
      return "The server is gone: nothing answers at this address.";
    }
  }
}

function closedText(code, reason, problem) {
  if (problem) return `The server ended the session: ${problem}`;
  const text = CLOSED[code] ?? `The server closed the connection (${code}).`;
  return reason ? `${text} It said: ${reason}.` : text;
}
