"""The options and the help of `transcribe`; nothing here imports what the command needs."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser

from engine.cli.options import NoKey
from engine.cli.texts import EXIT_CODES

TRANSCRIBE = f"""\
Each line is printed when its words are settled, with its time and, where the model tells them apart, the speaker; on a
terminal the words appear as they come. Files are written at the end, also when Ctrl-C is that end.

The server is --server, else OPENAI_BASE_URL, else the hosted service if there is a key, else the server inside, which
understands no speech: it has the words of a script (--responder script:words.yaml, with a list of `transcripts`).

examples:
  bargein transcribe mic --out talk.srt
  bargein transcribe meeting.wav --model gpt-4o-transcribe-diarize --out meeting.vtt --out meeting.json
  bargein transcribe talk.wav --fast --responder script:words.yaml

{EXIT_CODES}"""


def transcribe_options(to: ArgumentParser) -> None:
    """`transcribe`."""
    to.add_argument("input", metavar="mic|FILE.wav", help="the microphone, or a sound file")
    to.add_argument(
        "--out", metavar="FILE", action="append", default=[], help="write .srt, .vtt or .json; may be given again"
    )
    to.add_argument("--events", metavar="FILE", help="every event as a line of JSON with its time; no secrets")
    to.add_argument("--json", action="store_true", help="each settled line as a line of JSON")
    whom = to.add_argument_group("with whom")
    whom.add_argument("--server", metavar="URL", help="ws://, wss:// or an API base such as https://host/v1")
    whom.add_argument("--key-file", metavar="PATH", help="file with the key, instead of OPENAI_API_KEY")
    whom.add_argument("--key", action=NoKey, help=SUPPRESS)
    whom.add_argument("--responder", metavar="NAME", help="brain of the server inside: script:PATH")
    how = to.add_argument_group("how")
    how.add_argument("--model", default="gpt-4o-transcribe", help="default: %(default)s")
    how.add_argument("--language", metavar="CODE", help="such as en: better and quicker; default: detected")
    how.add_argument("--prompt", metavar="TEXT", help="what is spoken about")
    how.add_argument("--keyword", metavar="WORD", action="append", help="a word to expect; may be given again")
    how.add_argument("--logprobs", action="store_true", help="how sure the words are, in --json and .json files")
    how.add_argument("--device", metavar="NAME", help="the microphone, by name or pattern; default: the system's")
    how.add_argument("--fast", action="store_true", help="virtual time with the server inside, 4 times real time else")


__all__ = ["TRANSCRIBE", "transcribe_options"]
