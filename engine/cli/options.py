"""The options of `demo`, `file` and `serve`; nothing here imports what the commands need."""

from __future__ import annotations

from argparse import SUPPRESS, Action, ArgumentParser, Namespace
from typing import NoReturn

from engine.cli.servelog import log_options


class NoKey(Action):
    """Refuses --key without repeating what follows it."""

    def __call__(self, to: ArgumentParser, *_: object) -> NoReturn:
        to.error(
            "--key is no option, everyone could read it in the list of processes: use --key-file or OPENAI_API_KEY"
        )


class Several(Action):
    """Each use adds to a list; the first puts it in the place of what the settings say."""

    def __call__(self, _to: ArgumentParser, found: Namespace, value: object, _option: str | None = None) -> None:
        kept = getattr(found, self.dest)
        setattr(found, self.dest, [value] if kept is self.default else [*kept, value])


def demo_options(to: ArgumentParser) -> None:
    """`demo`."""
    to.add_argument("--wav", metavar="PATH", help="the caller, instead of the one that comes with bargein")
    to.add_argument("--out", metavar="DIR", default="out", help="folder for what is left (default: out)")
    to.add_argument("--fast", action="store_true", help="virtual time: as fast as the machine can")


def file_options(to: ArgumentParser) -> None:
    """`file`."""
    to.add_argument("input", metavar="IN.wav", help="what is said")
    files = to.add_argument_group("files to write (existing ones are replaced)")
    files.add_argument("--out", metavar="OUT.wav", help="what the loudspeaker plays")
    files.add_argument("--conversation", metavar="FILE.wav", help="both sides: left = microphone, right = loudspeaker")
    files.add_argument("--events", metavar="FILE", help="every event as a line of JSON with its time; no secrets")
    whom = to.add_argument_group("with whom")
    whom.add_argument("--server", metavar="URL", help="ws://, wss:// or an API base such as https://host/v1; inside")
    whom.add_argument(
        "--key-file",
        metavar="PATH",
        help="file with the key, instead of OPENAI_API_KEY; a key itself is no option, since everyone could read it in "
        "the list of processes",
    )
    whom.add_argument("--key", action=NoKey, help=SUPPRESS)
    whom.add_argument("--model", default="gpt-realtime", help="the model to ask for (default: %(default)s)")
    whom.add_argument("--responder", metavar="NAME", help="brain of the server inside: echo (default) or script:PATH")
    how = to.add_argument_group("how")
    how.add_argument("--instructions", metavar="TEXT", help="what the model shall be and do")
    how.add_argument("--voice", metavar="NAME", help="the voice of the answers")
    how.add_argument("--format", choices=("pcm", "pcmu", "pcma"), default="pcm", help="sound on the wire")
    how.add_argument(
        "--fast", action="store_true", help="virtual time with the server inside, 4 times real time with another one"
    )
    how.add_argument("--json", action="store_true", help="turns and summary as lines of JSON")
    to.set_defaults(inside="echo", barge_in={}, gate={})  # what bargein.toml may say besides


def serve_options(to: ArgumentParser) -> None:
    """`serve`."""
    to.add_argument("--host", default="127.0.0.1", help="127.0.0.1 (default), ::1 or localhost; others need keys")
    to.add_argument("--port", type=int, default=8765, help="default: 8765; 0 takes any free one")
    to.add_argument(
        "--front",
        choices=("auto", "asgi", "bare"),
        default="auto",
        help="asgi: all of HTTP (extra server); bare: WebSocket and GET; auto (default): asgi where it is installed",
    )
    to.add_argument("--responder", metavar="NAME", default="echo", help="the brain (default: echo); see below")
    to.add_argument("--speech", metavar="FILE", help="YAML file with the recogniser and the voice")
    to.add_argument("--model", help="model of a session whose URL names none")
    to.add_argument("--instructions", metavar="TEXT", help="instructions of a session that sets none")
    to.add_argument("--voice", metavar="NAME", help="voice of a session that sets none (default: alloy)")
    to.add_argument("--burst", type=float, metavar="N", help="send sound N times faster than real time (default: 8)")
    to.add_argument("--session-s", type=float, metavar="S", help="longest session in seconds (default: 3600)")
    to.add_argument("--max-sessions", type=int, metavar="N", help="connections at a time (default: 64)")
    to.add_argument(
        "--drain",
        type=float,
        metavar="S",
        default=10.0,
        help="after SIGTERM sessions may go on for S seconds, while new ones are refused (default: 10)",
    )
    tls = to.add_argument_group("TLS: https and wss, and nothing else")
    tls.add_argument(
        "--tls",
        choices=("self-signed",),
        help="with a certificate of its own, for localhost, 127.0.0.1, ::1 and the allowed hosts (extra server)",
    )
    tls.add_argument("--tls-folder", metavar="DIR", help="where that is kept (default: ~/.local/share/bargein/tls)")
    tls.add_argument("--tls-cert", metavar="FILE", help="with the certificate, and its chain, of this PEM file")
    tls.add_argument("--tls-key", metavar="FILE", help="its key, PEM without password")
    doors = to.add_argument_group("who may come in, beside programs of this machine")
    doors.add_argument(
        "--allowed-host",
        action=Several,
        default=(),
        metavar="HOST[:PORT]",
        help="clients may call this server so; may be repeated (default: localhost, 127.0.0.0/8 and [::1] only)",
    )
    doors.add_argument(
        "--allow-origin",
        action=Several,
        default=(),
        metavar="ORIGIN",
        help="pages of there may use it, such as https://app.example.com; may be repeated; * with keys (default: none)",
    )
    doors.add_argument(
        "--keys-file",
        metavar="FILE",
        help="API keys, one a line: KEY, NAME KEY, or NAME sha256:DIGEST; else BARGEIN_API_KEYS; SIGHUP reads it again",
    )
    doors.add_argument("--sessions-per-key", type=int, metavar="N", default=16, help="at a time (default: 16)")
    to.add_argument("--beta", action="store_true", default=None, help="serve clients of the older dialect, too")
    to.add_argument(
        "--mcp-allow",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="sessions may use MCP servers there (extra mcp); may be repeated (default: none)",
    )
    log_options(to)
    traces = to.add_argument_group("traces of every session: spans of its turns, speech and tools")
    traces.add_argument("--trace-file", metavar="FILE", help="append them to this file, a line of JSON each")
    traces.add_argument("--trace-otel", action="store_true", help="give them to OpenTelemetry (extra `tracing`)")
    traces.add_argument("--trace-words", action="store_true", help="with what is said, and what tools get and give")
