"""The parts of the page that know no page: what is sent, what is kept and where it ends."""

from __future__ import annotations

from tests.playground.browser import Tab

SPEAKING = """
  const { Speaking } = await part("speaking.js");
  const { fromBase64 } = await part("pcm.js");
  const sent = [];
  const said = [];
  let open = true;
  const speaking = new Speaking({
    send: (audio) => { if (open) sent.push(fromBase64(audio)); return open; },
    onTurn: (at) => said.push(["turn", at]),
    onTooShort: () => said.push(["short"]),
  });
  let now = 1000;
  const piece = (count = 1) => {
    for (let n = 0; n < count; n += 1) { now += 40; speaking.piece(new Int16Array(960).fill(7), now); }
  };
"""


def test_a_held_button_sends_what_was_said_while_it_was_held(tab: Tab) -> None:
    told = tab.run(
        SPEAKING
        + """
        speaking.push = true;
        piece(5); speaking.press(); piece(5); speaking.release(); piece(5);
        const first = sent.length;
        speaking.press(); piece(1); speaking.release(); piece(3);
        return { first, all: sent.length, said };
        """
    )
    assert told == {"first": 6, "all": 8, "said": [["turn", 1440], ["short"]]}


def test_a_muted_microphone_sends_silence_and_shows_it(tab: Tab) -> None:
    told = tab.run(
        SPEAKING
        + """
        speaking.muted = true;
        const near = new Int16Array(960).fill(7);
        speaking.piece(near, 1040);
        return { sent: Math.max(...sent[0]), shown: Math.max(...near), count: sent.length };
        """
    )
    assert told == {"sent": 0, "shown": 0, "count": 1}


def test_the_servers_milliseconds_are_found_on_the_pages_clock(tab: Tab) -> None:
    told = tab.run(
        SPEAKING
        + """
        piece(10); open = false; piece(10); open = true; piece(10);
        return [0, 399, 400, 500].map((ms) => speaking.timeOf(ms));
        """
    )
    assert told == [1000, 1399, 1800, 1900]  # what was not sent has no time at the server


LOG = """
  const { EventLog, passes } = await part("eventlog.js");
  let there = 0;
  const log = new EventLog({ onAdd: () => { there += 1; }, onGrow: () => {}, onDrop: () => { there -= 1; } });
"""


def test_the_list_of_events_has_an_end(tab: Tab) -> None:
    told = tab.run(
        LOG
        + """
        for (let n = 0; n < 2500; n += 1) log.add("received", { type: "rate_limits.updated", n }, n);
        return { kept: log.entries.length, there, first: log.entries[0].event.n };
        """
    )
    assert told == {"kept": 1000, "there": 1000, "first": 1500}


def test_runs_are_one_entry_and_hold_no_sound(tab: Tab) -> None:
    told = tab.run(
        LOG
        + """
        const sound = "A".repeat(2560);
        for (let n = 0; n < 300; n += 1) {
          log.add("sent", { type: "input_audio_buffer.append", audio: sound }, n);
          log.add("received", { type: "response.output_audio_transcript.delta", item_id: "a", delta: "ho " }, n);
          log.add("received", { type: "response.output_audio.delta", item_id: "a", delta: sound }, n);
        }
        log.add("received", { type: "response.done", response: { status: "completed" } }, 301);
        log.add("sent", { type: "input_audio_buffer.append", audio: sound }, 302);
        return {
          types: log.entries.map((each) => [each.type, each.times]),
          ms: log.entries[0].ms,
          run: log.entries[1].run.length,
          letters: JSON.stringify(log.entries.map((each) => each.run)).includes("AAAA"),
        };
        """
    )
    assert told["types"] == [
        ["input_audio_buffer.append", 300],
        ["response.output_audio_transcript.delta", 300],
        ["response.output_audio.delta", 300],
        ["response.done", 0],
        ["input_audio_buffer.append", 1],
    ]
    assert told["ms"] == 12000
    assert told["run"] == 200
    assert told["letters"] is False


def test_secrets_are_in_no_entry(tab: Tab) -> None:
    told = tab.run(
        LOG
        + """
        const tools = [{ type: "mcp", authorization: "topsecret", headers: { "X-Key": "topsecret" } }];
        log.add("sent", { type: "session.update", session: { tools, client_secret: { value: "topsecret" } } }, 0);
        return JSON.stringify(log.entries);
        """
    )
    assert "topsecret" not in told
    assert "[hidden]" in told


def test_a_filter_wants_every_word_and_the_direction(tab: Tab) -> None:
    told = tab.run(
        LOG
        + """
        log.add("sent", { type: "session.update", session: { audio: { output: { speed: 1.2 } } } }, 0);
        log.add("received", { type: "session.updated", session: {} }, 1);
        log.add("received", { type: "error", error: { code: "invalid_value" } }, 2);
        const which = (filter) => log.entries.filter((each) => passes(each, filter)).map((each) => each.type);
        return [
          which({ which: "all", words: "" }).length,
          which({ which: "sent", words: "" }),
          which({ which: "all", words: "session SPEED" }),
          which({ which: "errors", words: "" }),
          which({ which: "received", words: "speed" }),
        ];
        """
    )
    assert told == [3, ["session.update"], ["session.update"], ["error"], []]


DIALOGUE = """
  const { Dialogue, heardLetters } = await part("dialogue.js");
  let there = new Set();
  const dialogue = new Dialogue({
    onChange: (turn) => there.add(turn), onRemove: (turn) => there.delete(turn), onSettled: () => {},
  });
  const add = (id, previous, item = {}) => dialogue.handle({
    type: "conversation.item.added", previous_item_id: previous,
    item: { id, type: "message", role: "user", content: [], ...item },
  }, 0);
"""


def test_the_turns_stand_in_the_servers_order_and_have_an_end(tab: Tab) -> None:
    told = tab.run(
        DIALOGUE
        + """
        add("a", null); add("c", "a"); add("b", "a");
        dialogue.handle({ type: "conversation.item.deleted", item_id: "c" });
        const order = dialogue.turns.map((turn) => turn.id);
        for (let n = 0; n < 700; n += 1) add(`x${n}`, null);
        return { order, kept: dialogue.turns.length, there: there.size };
        """
    )
    assert told == {"order": ["a", "b"], "kept": 500, "there": 500}


def test_what_was_heard_ends_with_a_word(tab: Tab) -> None:
    told = tab.run(
        DIALOGUE
        + """
        const turn = { role: "assistant", text: "one two three four", spokenMs: 1000, heardMs: 0 };
        return [0, 1, 400, 999, 1000].map((ms) => turn.text.slice(0, heardLetters({ ...turn, heardMs: ms })));
        """
    )
    assert told == ["", "one", "one two", "one two three four", "one two three four"]


def test_a_recording_has_an_end_and_says_so_once(tab: Tab) -> None:
    told = tab.run(
        """
        const { Recording, LIMIT_MS } = await part("recording.js");
        let full = 0;
        const recording = new Recording({ onFull: () => { full += 1; } });
        const near = new Int16Array(24000);
        for (let n = 0; n < 1000; n += 1) recording.piece(near, near, n * 1000);
        for (let n = 0; n < 21000; n += 1) recording.note("sent", {}, 0);
        return { full, ms: recording.ms, limit: LIMIT_MS, entries: recording.entries.length };
        """
    )
    assert told == {"full": 1, "ms": 900_000, "limit": 900_000, "entries": 0}


def test_a_timeline_has_an_end_and_counts_what_is_left_out(tab: Tab) -> None:
    told = tab.run(
        """
        const { Recording } = await part("recording.js");
        const recording = new Recording({ onFull: () => {} });
        for (let n = 0; n < 20005; n += 1) recording.note("sent", { type: "x" }, 0);
        const made = recording.timeline({ session: null, turns: [], answers: [], stops: [] });
        return { events: made.events.length, out: made.events_left_out };
        """
    )
    assert told == {"events": 20000, "out": 5}


def test_the_form_of_what_changed(tab: Tab) -> None:
    told = tab.run(
        """
        const { differences, put, at } = await part("session.js");
        const before = { a: 1, audio: { input: { turn_detection: { type: "server_vad" } } }, list: [1] };
        const after = { a: 1, audio: { input: { turn_detection: null } }, list: [1, 2] };
        const type = at(before, "audio.input.turn_detection.type");
        return [differences(before, after), put({}, "x.y.z", 5), type, at(after, "q.r") ?? "none"];
        """
    )
    assert told == [
        [
            {"path": "audio.input.turn_detection", "before": {"type": "server_vad"}, "after": None},
            {"path": "list", "before": [1], "after": [1, 2]},
        ],
        {"x": {"y": {"z": 5}}},
        "server_vad",
        "none",
    ]


def test_sound_that_a_slow_network_has_no_room_for_is_left_out(tab: Tab) -> None:
    told = tab.run(
        """
        const { Link } = await part("link.js");
        const sent = [];
        const link = Object.create(Link.prototype);
        const socket = { readyState: WebSocket.OPEN, bufferedAmount: 0, send: (text) => sent.push(text) };
        Object.assign(link, { socket, leftOut: 0, count: 0, onSent: () => {} });
        const went = [link.sendSound("AAAA")];
        socket.bufferedAmount = 2 ** 20 + 1;
        went.push(link.sendSound("BBBB"), link.send({ type: "response.create" }) !== "");
        return { went, out: link.leftOut, sent: sent.length };
        """
    )
    assert told == {"went": [True, False, True], "out": 1, "sent": 2}
