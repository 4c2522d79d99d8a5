"""The command line's frame: arguments, signals, one-line errors and exit codes."""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType, MappingProxyType
from typing import Any, NoReturn

from engine import __version__, clock
from engine.cli import config
from engine.cli.options import NoKey, demo_options, file_options, serve_options
from engine.cli.rest_options import Made, call_options, secret_options
from engine.cli.sound_options import config_options, devices_options, doctor_options, talk_options
from engine.cli.texts import CALL, CONFIG, DEMO, DEVICES, DOCTOR, EXIT_CODES, FILE, MAIN, SECRET, SERVE, TALK
from engine.cli.transcribe_options import TRANSCRIBE, transcribe_options
from engine.errors import ConfigError, EngineError, MediaError
from engine.realtime.redaction import scrub

OK, FAILED, USAGE = 0, 1, 2
SIGNALS = (signal.SIGINT, signal.SIGTERM)
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
OUTPUT_GONE = 128 + signal.SIGPIPE

# ---- what is told


def say(message: str) -> None:
    """One line for the user, on stderr."""
    with suppress(OSError):  # nobody listens
        print(f"bargein: {plain(scrub(message))}", file=sys.stderr, flush=True)


def plain(text: str) -> str:
    """Text of a stranger on one line, without what would steer a terminal."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


class _OneLine(logging.Formatter):
    """Log records as lines of ours; a traceback only becomes its last line."""

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[1] if record.exc_info else None
        tail = f": {type(error).__name__}: {error}" if error is not None else ""
        return "bargein: " + plain(scrub(record.getMessage() + tail))


class _Whole(logging.Formatter):
    """Log records with their tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return scrub(super().format(record))


@contextmanager
def _logging(debug: bool) -> Iterator[None]:
    """Warnings of the engine and of asyncio as lines on stderr; everything, with tracebacks, for --debug."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Whole("%(name)s: %(message)s") if debug else _OneLine())
    loggers = [logging.getLogger(name) for name in ("bargein", "asyncio")]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if debug else logging.WARNING)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


# ---- signals


class Interrupts:
    """What Ctrl-C and SIGTERM do: leave at once while nothing is open, else end the running command in order.

    The first signal cancels the command, which closes its files and connections; a third one stops waiting for that.
    A command that takes its time after the first one sets `again`, and the second one cancels it once more.
    """

    def __init__(self) -> None:
        self.number = 0
        self.again = False
        self.stop: Callable[[], object] | None = None
        self.leave: Callable[[], object] | None = None  # gives a terminal back before an end at once
        self._count = 0

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.signal(number, self._received) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _received(self, number: int, _frame: FrameType | None) -> None:
        self._count += 1
        self.number = self.number or number
        if self.stop is None or self._count > 2:
            if self.leave is not None:
                self.leave()
            os._exit(128 + self.number)
        if self._count == 1 or self.again:
            self.again = False
            self.stop()

    async def watch(self, command: Coroutine[Any, Any, int]) -> int:
        """Run a command so that a signal cancels it; 128 plus the signal's number if that ended it."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self.stop = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            return await command
        except asyncio.CancelledError:
            if not self.number:
                raise
        except (Exception, BaseExceptionGroup) as error:
            if not self.number:
                raise
            say(f"while stopping: {_words(error)}")
        finally:
            self.stop = None
        say("stopped")
        return 128 + self.number

    @contextmanager
    def as_exception(self) -> Iterator[None]:
        """Signals raise KeyboardInterrupt instead, for a command that runs a loop of its own."""

        def raised(number: int, frame: FrameType | None) -> NoReturn:
            self.number = self.number or number
            signal.default_int_handler(number, frame)

        def passed_on(number: int, _frame: FrameType | None) -> None:
            self.number = number
            signal.raise_signal(signal.SIGINT)  # asyncio.run cancels its task for this one

        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, passed_on)
        try:
            yield
        finally:
            for number in SIGNALS:
                signal.signal(number, self._received)


# ---- commands


def _demo(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from engine.cli import demo

    with interrupts.as_exception():
        return demo.run(options)


def _file(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from engine.cli import file

    options.url = file.target(options)
    run = clock.run_virtual if options.fast and options.url is None else asyncio.run
    return run(interrupts.watch(file.run(options)))


def _talk(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from engine.cli import file, inputs, talk

    options.key = inputs.read_key(options.key_file)
    options.url = file.whom(options)
    return asyncio.run(interrupts.watch(talk.run(options, interrupts)))


def _transcribe(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from engine.cli import transcribe

    options.url = transcribe.target(options)
    virtual = options.fast and options.url is None and options.input != "mic"
    run = clock.run_virtual if virtual else asyncio.run
    return run(interrupts.watch(transcribe.run(options)))


def _serve(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from engine.cli import serve

    return asyncio.run(interrupts.watch(serve.run(options, interrupts)))


def _secret(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from engine.cli import rest

    return asyncio.run(interrupts.watch(rest.secret(options)))


def _call(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from engine.cli import rest

    return asyncio.run(interrupts.watch(rest.call(options)))


def _doctor(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from engine.cli import doctor

    return asyncio.run(interrupts.watch(doctor.run(options)))


def _devices(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from engine.cli import devices

    return asyncio.run(interrupts.watch(devices.run(options)))


def _config(options: argparse.Namespace, interrupts: Interrupts) -> int:
    from engine.cli import settings

    return asyncio.run(interrupts.watch(settings.run(options)))


def _version(_options: argparse.Namespace, _interrupts: Interrupts) -> int:
    print(f"bargein {__version__}")
    return OK


class _Parser(argparse.ArgumentParser):
    """Errors of one line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        say(f"{message}; see {self.prog} --help")
        raise SystemExit(USAGE)


def parser(defaults: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> argparse.ArgumentParser:
    """Every option of every command. `defaults` of a command's options stand before those made here."""
    top = _Parser(prog="bargein", description="A real-time voice engine for the Realtime API.", epilog=MAIN)
    top.add_argument("--version", action="version", version=f"bargein {__version__}")
    top.add_argument("--debug", action="store_true", help="log what happens, and show the traceback of a fault")
    common = _Parser(add_help=False)
    common.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    commands = top.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    made: dict[str, argparse.ArgumentParser] = {}

    def command(name: str, run: Callable[..., int], summary: str, epilog: str) -> argparse.ArgumentParser:
        made[name] = commands.add_parser(name, help=summary, description=summary, epilog=epilog, parents=[common])
        made[name].set_defaults(run=run, command=name)
        return made[name]

    demo_options(command("demo", _demo, "hold a spoken conversation with the server inside, and show it", DEMO))
    file_options(command("file", _file, "let a WAV file hold a conversation", FILE))
    talk_options(command("talk", _talk, "talk through this machine's microphone and loudspeaker", TALK), NoKey)
    transcribe_options(command("transcribe", _transcribe, "write down what is said", TRANSCRIBE))
    devices_options(command("devices", _devices, "list microphones and loudspeakers", DEVICES))
    doctor_options(command("doctor", _doctor, "try the sound devices, and find their settings", DOCTOR))
    config_options(command("config", _config, "list the settings, and where each comes from", CONFIG))
    serve_options(command("serve", _serve, "run the embedded Realtime server", SERVE))
    secret = command("secret", _secret, "create a short-lived key for a client", SECRET)
    secret_options(_actions(secret, common), NoKey)
    call = command("call", _call, "accept, reject, refer or hang up a call", CALL)
    call_options(_actions(call, common), NoKey)
    command("version", _version, "print the version", EXIT_CODES)
    for name, values in defaults.items():
        made[name].set_defaults(**values)
    return top


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, with what the environment and bargein.toml say for those that were left out."""
    options = parser().parse_args(arguments)  # first without: help, and wrong usage, need no file
    if values := config.defaults(options.command):
        options = parser({options.command: values}).parse_args(arguments)
    return options


def _actions(of: argparse.ArgumentParser, common: _Parser) -> Made:
    """Makes the parsers of a command's actions; they show the command's own epilog."""
    actions = of.add_subparsers(metavar="ACTION", dest="action", required=True, parser_class=_Parser)
    return lambda name, summary: actions.add_parser(
        name, help=summary, description=summary, epilog=of.epilog, parents=[common]
    )


# ---- the frame


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (`EXIT_CODES`). Call it on the main thread, where signals arrive."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # closed, or not a terminal's kind of stream
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    with Interrupts() as interrupts:
        try:
            options = parsed(arguments)
            with _logging(options.debug):
                code = _guarded(options, interrupts)
        except ConfigError as error:  # of bargein.toml
            say(str(error))
            code = USAGE
        except SystemExit as leaving:  # argparse: help, or an error it has told
            code = leaving.code if isinstance(leaving.code, int) else USAGE
        return _flushed(code)


def _guarded(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """The command, with every failure as one line."""
    try:
        return int(options.run(options, interrupts))
    except KeyboardInterrupt:
        say("stopped")
        return 128 + (interrupts.number or signal.SIGINT)
    except BrokenPipeError:
        return OUTPUT_GONE
    except (Exception, BaseExceptionGroup) as error:
        if options.debug:
            raise
        return _told(error)


def _told(error: BaseException) -> int:
    known = _known(error)
    if isinstance(known, EngineError):
        say(str(known))
        return USAGE if isinstance(known, ConfigError | MediaError) else FAILED
    if isinstance(known, BrokenPipeError):
        return OUTPUT_GONE
    if isinstance(known, OSError) and (known.filename is not None or known.errno in DISK):
        say(_words(known))
        return USAGE
    say(f"unexpected {_words(error)}; please report it, with what --debug shows")
    return FAILED


def _known(error: BaseException) -> BaseException:
    """The error itself, or the first one of ours in a group of tasks that failed together."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    inner = [_known(one) for one in error.exceptions]
    return next((one for one in inner if isinstance(one, EngineError)), inner[0])


def _words(error: BaseException) -> str:
    error = _known(error)
    if isinstance(error, EngineError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return f"{type(error).__name__}: {error}"


def _flushed(code: int) -> int:
    """Write out what stdout holds while a failure of that can still be told."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        with suppress(OSError, ValueError):  # the interpreter must not try again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return OUTPUT_GONE
        say(f"stdout: {error.strerror}")
        return USAGE
    return code
