"""Recognisers and voices that are programs: small ones that take the command lines of the real tools."""

from __future__ import annotations

import asyncio
import shutil
import stat
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError, EngineError
from engine.server import process
from engine.server.formats import Samples
from engine.server.process import ProgramFailed
from engine.server.recognisers.programs import ProgramRecogniser, ProgramRecogniserSettings
from engine.server.sound import at_rate, from_pcm, from_wav, to_pcm, to_wav
from engine.server.voices.programs import ProgramVoice, ProgramVoiceSettings

from .harness import speech

# What each tool's own command line is like: it fails on anything else.
WHISPER = """
import argparse, wave
p = argparse.ArgumentParser()
for name in ("-m", "-l", "-f"): p.add_argument(name, required=True)
for name in ("-nt", "-np"): p.add_argument(name, action="store_true", required=True)
o = p.parse_args()
open(o.m).close()
with wave.open(o.f) as f: assert (f.getnchannels(), f.getsampwidth(), f.getframerate()) == (1, 2, 16000)
print("\\n [BLANK_AUDIO] What is the weather\\n in", o.l + "? (wind blowing)")
"""
VOSK = """
import argparse, os, sys, wave
p = argparse.ArgumentParser()
p.add_argument("--model", "-m"); p.add_argument("--input", "-i"); p.add_argument("--log-level")
o = p.parse_args()
assert os.path.isdir(o.model)
with wave.open(o.input) as f: n = f.getnframes()
print("LOG (VoskAPI) loading", file=sys.stderr)
print("heard %d ms " % (n // 16))
"""
PIPER = """
import argparse, sys
p = argparse.ArgumentParser()
p.add_argument("--model", "-m", required=True); p.add_argument("--length_scale", type=float)
p.add_argument("--output_raw", action="store_true", required=True)
o = p.parse_args()
open(o.model).close()
for line in sys.stdin:
    if line.strip(): sys.stdout.buffer.write(b"\\x00\\x10" * round(22050 * len(line.strip()) / 100 * o.length_scale))
"""
ESPEAK = """
import argparse, sys, wave
p = argparse.ArgumentParser()
for name in ("--stdin", "--stdout"): p.add_argument(name, action="store_true", required=True)
p.add_argument("-v", required=True); p.add_argument("-s", type=int, required=True)
o = p.parse_args()
text = sys.stdin.read().strip()
assert o.v in ("en-us", "de"), o.v
import io
b = io.BytesIO()
with wave.open(b, "wb") as f:
    f.setnchannels(1); f.setsampwidth(2); f.setframerate(22050)
    f.writeframes(b"\\x00\\x10" * round(22050 * len(text) / 10 * 175 / o.s))
sys.stdout.buffer.write(b.getvalue())
"""


def program(folder: Path, name: str, code: str) -> str:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def heard(recogniser: ProgramRecogniser, samples: Samples | None = None, language: str | None = None) -> str:
    async def ask() -> str:
        await recogniser.warm_up()
        return (await recogniser.transcribe(speech() if samples is None else samples, language=language)).text

    return asyncio.run(ask())


def spoken(voice: ProgramVoice, text: str = "Hello.", name: str = "alloy", speed: float = 1.0) -> Samples:
    async def ask() -> Samples:
        await voice.warm_up()
        return await voice.synthesize(text, name, speed)

    return asyncio.run(ask())


# ---- the tools


def test_whisper_cpp(tmp_path: Path) -> None:
    model = tmp_path / "ggml.bin"
    model.touch()
    settings = ProgramRecogniserSettings(
        "whisper.cpp", program=program(tmp_path, "whisper-cli", WHISPER), model=str(model)
    )
    assert heard(ProgramRecogniser(settings)) == "What is the weather in en?"
    assert heard(ProgramRecogniser(settings), language="de") == "What is the weather in de?"


def test_vosk(tmp_path: Path) -> None:
    settings = ProgramRecogniserSettings(
        "vosk", program=program(tmp_path, "vosk-transcriber", VOSK), model=str(tmp_path)
    )
    assert heard(ProgramRecogniser(settings), np.zeros(24000, np.float32)) == "heard 1000 ms"


def test_vosk_without_ffmpeg_has_no_words(tmp_path: Path) -> None:
    tool = program(tmp_path, "vosk-transcriber", "print('[Errno 2] Missing FFMPEG, please install and try again')")
    with pytest.raises(ProgramFailed, match="needs ffmpeg"):
        heard(ProgramRecogniser(ProgramRecogniserSettings("vosk", program=tool, model=str(tmp_path))))


def test_piper(tmp_path: Path) -> None:
    model = tmp_path / "amy.onnx"
    model.touch()
    (tmp_path / "amy.onnx.json").write_text('{"audio": {"sample_rate": 22050}}')
    settings = ProgramVoiceSettings("piper", program=program(tmp_path, "piper", PIPER), model=str(model))
    sound = spoken(ProgramVoice(settings), "Two lines\n" + "of forty letters " * 2 + "forty!")  # 10 ms for each
    assert sound.dtype == np.float32 and sound.size == pytest.approx(12000, abs=2)
    assert np.median(sound) == pytest.approx(0x1000 / 32768, abs=1e-3)
    assert spoken(ProgramVoice(settings), "x" * 50, speed=2.0).size == pytest.approx(6000, abs=2)


def test_espeak_ng_as_a_program(tmp_path: Path) -> None:
    tool = program(tmp_path, "espeak-ng", ESPEAK)
    voice = ProgramVoice(ProgramVoiceSettings("espeak-ng", program=tool, voices={"coral": "de"}))
    assert spoken(voice, "x" * 10).size == pytest.approx(24000, abs=2)
    assert spoken(voice, "x" * 10, "coral", 0.5).size == pytest.approx(48000, abs=600)
    assert spoken(voice, "- !").size == 0


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed as a program")
def test_the_real_espeak_ng() -> None:
    sound = spoken(ProgramVoice(ProgramVoiceSettings("espeak-ng")), "Good morning.")
    assert 0.4 * 24000 < sound.size < 3 * 24000 and np.abs(sound).max() > 0.05


def test_any_command_by_file_or_standard_input(tmp_path: Path) -> None:
    code = "import json, sys\nd = open(sys.argv[1], 'rb').read() if len(sys.argv) > 1 else sys.stdin.buffer.read()\n"
    tool = program(tmp_path, "ears", code + "print(json.dumps({'text': f' {d[:4].decode()} {len(d)} '}))")
    for command in ([tool], [tool, "{wav}"]):
        settings = ProgramRecogniserSettings("command", command=command, output="json", rate=8000)
        assert heard(ProgramRecogniser(settings), np.zeros(2400, np.float32)) == f"RIFF {44 + 1600}"
    tool = program(tmp_path, "voice", "import sys\nsys.stdout.buffer.write(b'\\0\\1' * len(sys.stdin.read()))")
    voice = ProgramVoice(ProgramVoiceSettings("command", command=[tool, "{voice}"], output="pcm", rate=8000))
    assert spoken(voice, "abc").size == 12  # with its newline


def test_a_sentence_is_spoken_once(tmp_path: Path) -> None:
    count = tmp_path / "count"
    tool = program(
        tmp_path, "voice", f"open({str(count)!r}, 'a').write('x')\nimport sys\nsys.stdout.buffer.write(b'\\0\\1' * 100)"
    )
    voice = ProgramVoice(ProgramVoiceSettings("command", command=[tool], output="pcm"))
    assert spoken(voice, "abc").size == spoken(voice, "abc").size == 100
    assert count.read_text() == "x"


# ---- what goes wrong


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import sys\nsys.exit('no model at all')", "ears ended with status 1: no model at all"),
        ("print('x' * 300000)", "ears wrote more than 262144 bytes"),
        ("import time\ntime.sleep(600)", "ears took longer than 1 s"),
        ("import os, time\nos.close(1); os.close(2)\ntime.sleep(600)", "ears took longer than 1 s"),
        ("print('no json')", "ears wrote no JSON with a text"),
    ],
)
def test_a_program_that_fails(tmp_path: Path, code: str, problem: str) -> None:
    settings = ProgramRecogniserSettings(
        "command", command=[program(tmp_path, "ears", code)], timeout_s=1 if "sleep" in code else 60, output="json"
    )
    with pytest.raises(ProgramFailed) as raised:
        heard(ProgramRecogniser(settings))
    assert str(raised.value) == problem


def test_a_voice_that_writes_no_sound(tmp_path: Path) -> None:
    tool = program(tmp_path, "voice", "print('hello')")
    with pytest.raises(EngineError, match="what voice wrote"):
        spoken(ProgramVoice(ProgramVoiceSettings("command", command=[tool])))


def running(pid: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_cancelling_kills_the_program_and_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = f"""
import os, subprocess, time
child = subprocess.Popen(["sleep", "600"])
open({str(pids)!r} + "~", "w").write(f"{{os.getpid()}} {{child.pid}}")
os.rename({str(pids)!r} + "~", {str(pids)!r})
time.sleep(600)
"""
    settings = ProgramRecogniserSettings("command", command=[program(tmp_path, "ears", code)], timeout_s=600)

    async def cancelled() -> None:
        asking = asyncio.create_task(ProgramRecogniser(settings).transcribe(speech()))
        while not pids.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.wait({asking})
        assert asking.cancelled()

    asyncio.run(asyncio.wait_for(cancelled(), 60))
    deadline = time.monotonic() + 60
    while any(running(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < deadline, "still running a minute later"
        time.sleep(0.02)


def test_cancelled_before_it_began_it_never_begins(tmp_path: Path) -> None:
    made = tmp_path / "made"
    call = process._Program(["touch", str(made)], b"", 10.0, 10)
    call.kill()
    assert call.run() == b"" and not made.exists()


def test_programs_at_a_time_are_bounded(tmp_path: Path) -> None:
    tool = program(tmp_path, "count", f"""
import os, sys, time
me = os.path.join({str(tmp_path)!r}, "run-%d" % os.getpid())
open(me, "w").close()
print(len([n for n in os.listdir({str(tmp_path)!r}) if n.startswith("run-")]))
time.sleep(0.1); os.remove(me)
""")  # fmt: skip

    async def many() -> list[int]:
        runs = [process.run([tool], timeout_s=60, limit=100) for _ in range(3 * process.MAX_AT_ONCE)]
        return [int(answer) for answer in await asyncio.gather(*runs)]

    assert max(asyncio.run(many())) <= process.MAX_AT_ONCE


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: ProgramRecogniserSettings("siri"), "kind is 'siri': use whisper.cpp, vosk or command"),
        (lambda: ProgramRecogniserSettings("vosk"), "model must be given"),
        (lambda: ProgramRecogniserSettings("command"), "command must be given"),
        (lambda: ProgramRecogniserSettings("command", command=["x"], output="xml"), "output is 'xml'"),
        (lambda: ProgramRecogniserSettings("command", command=["x"], rate=1), "rate is 1"),
        (lambda: ProgramVoiceSettings("piper"), "model must be given"),
        (lambda: ProgramVoiceSettings("espeak-ng", command=["x"]), "command must be given"),
        (lambda: ProgramVoiceSettings("command", command=["x"], output="mp3"), "output is 'mp3'"),
        (lambda: ProgramVoiceSettings("tts"), "kind is 'tts'"),
    ],
)
def test_bad_settings(make: type, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make()


def test_warming_up_finds_what_is_missing(tmp_path: Path) -> None:
    absent = ProgramRecogniser(ProgramRecogniserSettings("vosk", program="no-such-program", model=str(tmp_path)))
    with pytest.raises(ConfigError, match="program is 'no-such-program': no such program"):
        asyncio.run(absent.warm_up())
    tool = program(tmp_path, "vosk-transcriber", VOSK)
    with pytest.raises(ConfigError, match="there is no such file or folder"):
        asyncio.run(ProgramRecogniser(ProgramRecogniserSettings("vosk", program=tool, model="/nowhere")).warm_up())
    model = tmp_path / "amy.onnx"
    piper = ProgramVoice(ProgramVoiceSettings("piper", program=tool, model=str(model)))
    with pytest.raises(ConfigError, match=r"there is no file .*amy\.onnx"):
        asyncio.run(piper.warm_up())
    model.touch()
    (tmp_path / "amy.onnx.json").write_text('{"audio": {"sample_rate": "high"}}')
    with pytest.raises(ConfigError, match="has the sample rate 'high'"):
        asyncio.run(piper.warm_up())


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("not a program")
    plain.chmod(0o600)
    with pytest.raises(ProgramFailed, match="plain cannot be started"):
        asyncio.run(process.run([str(plain)], timeout_s=10, limit=10))


# ---- sound


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100])
def test_sound_there_and_back(rate: int) -> None:
    tone = np.sin(np.arange(24000) * (2 * np.pi * 440 / 24000)).astype(np.float32) * np.float32(0.5)
    for back in (from_pcm(to_pcm(tone, rate), rate), from_wav(to_wav(tone, rate), "x"), at_rate(tone, 24000)):
        assert abs(back.size - tone.size) <= 3
        middle = slice(2000, 22000)
        assert np.abs(back[middle] - tone[middle]).max() < 0.01
