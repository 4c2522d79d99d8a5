"""What runs in the audio thread, run outside of it: what was played is counted to the sample, whatever happens."""

from __future__ import annotations

import pytest

from tests.playground.browser import Tab

PLAYER = """
  const { Playback } = await part("playback.js");
  const player = new Playback(given[0] ?? 24000);
  const block = new Float32Array(128);
  let frame = 0;
  const heard = [];
  const play = (blocks) => {
    for (let n = 0; n < blocks; n += 1, frame += 128) { player.render(block, frame); heard.push(...block); }
  };
  const tone = (length, size = 16384) => new Int16Array(length).fill(size);
"""


def test_all_that_is_pushed_is_played(tab: Tab) -> None:
    told = tab.run(
        PLAYER
        + """
        player.push(1, tone(1000)); player.push(1, tone(2000)); player.push(2, tone(500));
        player.end(1); player.end(2);
        play(40);
        const loud = heard.filter((each) => Math.abs(each - 0.5) < 1e-3).length;
        return { report: player.report(), loud, left: player.waiting };
        """
    )
    assert [(track["key"], track["played"], track["finished"]) for track in told["report"]] == [
        (1, 3000, True),
        (2, 500, True),
    ]
    assert told["left"] == 0
    assert 3400 < told["loud"] <= 3500
    assert [track["firstFrame"] for track in told["report"]] == [48, 3048]  # the filter's 2 ms later


@pytest.mark.parametrize("rate", [24000, 44100, 48000, 16000])
def test_an_interruption_tells_what_left_the_queue(tab: Tab, rate: int) -> None:
    told = tab.run(
        PLAYER
        + """
        player.push(1, tone(24000)); player.push(2, tone(24000));
        play(100);
        const before = heard.length;
        const positions = player.flush();
        play(100);
        const loud = heard.slice(0, before).filter((each) => each > 0.25).length;
        const after = heard.slice(before).findLastIndex((each) => Math.abs(each) > 0.001) + 1;
        const steps = heard.slice(before).map((each, n, all) => Math.abs(each - (n ? all[n - 1] : heard[before - 1])));
        return { positions, loud, after, step: Math.max(...steps), waiting: player.waiting };
        """,
        rate,
    )
    first, second = told["positions"]
    assert (first["key"], first["received"], second["key"], second["played"]) == (1, 24000, 2, 0)
    assert abs(first["played"] / 24000 - told["loud"] / rate) < 0.0005, "half a millisecond"
    assert told["after"] / rate < 0.016, "silent after 10 ms and what the filter holds"
    assert told["step"] < 0.02, "no click"
    assert told["waiting"] == 0


def test_after_an_interruption_another_reply_is_played_and_counted(tab: Tab) -> None:
    told = tab.run(
        PLAYER
        + """
        player.push(1, tone(24000)); play(50); player.flush();
        player.push(2, tone(4800)); player.end(2); play(60);
        return player.report();
        """
    )
    assert [(track["key"], track["played"], track["finished"]) for track in told] == [(2, 4800, True)]


def test_a_track_that_was_through_is_not_told_as_cut(tab: Tab) -> None:
    told = tab.run(
        PLAYER
        + "player.push(1, tone(2400)); player.end(1); player.push(2, tone(9600)); play(30); return player.flush();"
    )
    assert [each["key"] for each in told] == [2]


def test_a_beginning_waits_for_a_little_and_a_dry_queue_for_more(tab: Tab) -> None:
    told = tab.run(
        PLAYER
        + """
        const loud = () => heard.splice(0).filter((each) => each > 0.25).length;
        player.push(1, tone(900)); play(10); const few = loud();
        player.push(1, tone(100)); play(10); const enough = loud();
        player.push(1, tone(2000)); play(10); const still = loud();
        player.push(1, tone(500)); play(30); const again = loud();
        player.push(1, tone(10)); player.end(1); play(10); const last = loud();
        return { few, enough, still, again, last, underruns: player.underruns };
        """
    )
    assert told["few"] == 0
    assert told["enough"] > 900
    assert told["still"] < 100, "40 ms were not enough once: now it waits for 100"
    assert told["again"] > 2300
    assert told["last"] > 0, "what is complete waits for nothing"
    assert told["underruns"] == 2


def test_the_queue_has_an_end(tab: Tab) -> None:
    told = tab.run(
        PLAYER
        + """
        let taken = 0;
        while (taken < 700 && player.push(1, tone(24000))) taken += 1;
        return { taken, waiting: player.waiting, more: player.push(2, tone(1)) };
        """
    )
    assert told == {"taken": 600, "waiting": 600 * 24000, "more": False}


@pytest.mark.parametrize("rate", [44100, 48000, 8000])
def test_capture_makes_pieces_of_40_ms_and_clips_what_is_too_loud(tab: Tab, rate: int) -> None:
    told = tab.run(
        """
        const { Capture } = await part("capture.js");
        const capture = new Capture(given[0]);
        const pieces = [];
        for (let n = 0; n < given[0] / 128; n += 1) {
          capture.push(new Float32Array(128).fill(n < given[0] / 256 ? 0.5 : 1.5));
          if (capture.full) pieces.push(capture.take());
        }
        return { lengths: pieces.map((each) => each.length), quiet: pieces[5][500], loud: pieces.at(-1)[500] };
        """,
        rate,
    )
    assert set(told["lengths"]) == {960}
    assert len(told["lengths"]) in (24, 25)
    assert (told["quiet"], told["loud"]) == (16384, 32767)
