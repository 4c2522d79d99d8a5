"""The options of `devices`, `config`, `talk` and `doctor`; nothing here imports what the commands need."""

from __future__ import annotations

from argparse import SUPPRESS, Action, ArgumentParser, ArgumentTypeError, BooleanOptionalAction


def devices_options(to: ArgumentParser) -> None:
    """`devices`."""
    to.add_argument("--json", action="store_true", help="each device as a line of JSON")


def config_options(to: ArgumentParser) -> None:
    """`config`."""
    to.add_argument("filter", nargs="?", metavar="PART", help="only keys with this in their name")
    to.add_argument("--json", action="store_true", help="each setting as a line of JSON")


def talk_options(to: ArgumentParser, no_key: type[Action]) -> None:
    """`talk`."""
    whom = to.add_argument_group("with whom")
    whom.add_argument(
        "--server", "--url", metavar="URL", help="ws://, wss:// or an API base such as https://host/v1; inside"
    )
    whom.add_argument("--key-file", metavar="PATH", help="file with the key, instead of OPENAI_API_KEY")
    whom.add_argument("--key", action=no_key, help=SUPPRESS)
    whom.add_argument("--model", default="gpt-realtime", help="the model to ask for (default: %(default)s)")
    whom.add_argument("--responder", metavar="NAME", help="brain of the server inside: echo (default) or script:PATH")
    whom.add_argument("--instructions", metavar="TEXT", help="what the model shall be and do")
    whom.add_argument("--voice", metavar="NAME", help="the voice of the answers")
    whom.add_argument("--format", choices=("pcm", "pcmu", "pcma"), default="pcm", help="sound on the wire")
    whom.add_argument(
        "--transcription",
        metavar="MODEL",
        help="what writes down your words; off (default: off, gpt-4o-mini-transcribe with the hosted service)",
    )
    device_options(to)
    how = to.add_argument_group("how")
    how.add_argument(
        "--push-to-talk", action=BooleanOptionalAction, default=False, help="the space bar opens the microphone"
    )
    how.add_argument("--volume", type=float, default=1.0, metavar="N", help="loudness, linear, 0 to 4 (default: 1)")
    how.add_argument(
        "--plain", action=BooleanOptionalAction, default=False, help="lines instead of a screen, as without a terminal"
    )
    how.add_argument("--json", action="store_true", help="turns and summary as lines of JSON")
    how.add_argument("--events", metavar="FILE", help="every event as a line of JSON with its time; no secrets")
    to.set_defaults(inside="echo", barge_in={}, gate={}, prices={}, loudspeaker_channels=None)


def doctor_options(to: ArgumentParser) -> None:
    """`doctor`."""
    to.add_argument("--json", action="store_true", help="every figure as a line of JSON")
    to.add_argument("--write", action="store_true", help="keep what was found in bargein.toml")
    device_options(to, echo=False)
    to.set_defaults(loudspeaker_channels=None)


def _latency(text: str) -> float | str:
    if text in ("auto", "low"):
        return text
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no latency: give milliseconds, auto or low") from None


def device_options(to: ArgumentParser, echo: bool = True) -> None:
    """Which microphone and loudspeaker, and how."""
    sound = to.add_argument_group("through what (`bargein devices` lists them, `bargein doctor` tries them)")
    sound.add_argument("--microphone", metavar="NAME", help="name, part of it, or pattern (USB*)")
    sound.add_argument("--loudspeaker", metavar="NAME", help="the same")
    sound.add_argument("--rate", type=int, metavar="HZ", help="open both at this rate")
    sound.add_argument("--block-ms", type=float, default=10.0, metavar="MS", help="sound per callback (default: 10)")
    sound.add_argument(
        "--latency-ms",
        type=_latency,
        default="auto",
        metavar="MS",
        help="1 to 2000; low: the device's own; auto (default): begins low, grows when sound is lost, is remembered",
    )
    sound.add_argument("--microphone-channel", type=int, metavar="N", help="counts from 0")
    sound.add_argument(
        "--priority", type=int, default=70, metavar="N", help="SCHED_FIFO of the audio thread, 0 for none (default: 70)"
    )
    if not echo:
        return
    sound.add_argument(
        "--reference-channel", type=int, metavar="N", help="carries what the loudspeaker plays (arrays with a loopback)"
    )
    sound.add_argument(
        "--reference-device",
        metavar="NAME",
        help="a second device that does, such as a sink's monitor",
    )
    hearing = to.add_argument_group("what the microphone's sound goes through before it is sent")
    hearing.add_argument(
        "--echo",
        choices=("auto", "aec", "half_duplex", "off"),
        default="auto",
        help="of the loudspeaker. aec: cancelled; half_duplex: silence is sent while a reply sounds; off: headphones; "
        "auto (default): cancelled, half_duplex where that fails",
    )
    hearing.add_argument(
        "--noise-reduction",
        choices=("off", "near_field", "far_field"),
        default="off",
        help="of steady noise: near_field for a mouthpiece, far_field for a microphone across the room",
    )
    hearing.add_argument(
        "--noise-strength", type=float, default=1.0, metavar="N", help="how much of it, 0 to 2 (default: 1)"
    )
    hearing.add_argument(
        "--agc", dest="agc_dbfs", type=float, metavar="DBFS", help="bring speech to this level, -40 to -6, such as -20"
    )
    hearing.add_argument(
        "--highpass", dest="highpass_hz", type=float, metavar="HZ", help="take away what lies below, 20 to 400"
    )
