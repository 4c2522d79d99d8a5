"""The options of `bargein secret` and `bargein call`; nothing here imports what the commands need."""

from __future__ import annotations

from argparse import SUPPRESS, Action, ArgumentParser
from collections.abc import Callable

Made = Callable[[str, str], ArgumentParser]
"""Makes the parser of one action from its name and summary."""


def secret_options(make: Made, no_key: type[Action]) -> None:
    """`secret create`."""
    create = make("create", "create a client secret (ek_...) and print it")
    create.add_argument(
        "--expires-after", type=int, metavar="S", help="10 to 7200 seconds (the service's default: 600)"
    )
    create.add_argument("--json", action="store_true", help="secret, expiry and session as a line of JSON")
    _session(create, "the session it starts with")
    _service(create, no_key)


def call_options(make: Made, no_key: type[Action]) -> None:
    """`call accept`, `reject`, `refer`, `hangup`."""
    accept = make("accept", "answer a call with a session")
    _call_id(accept)
    _session(accept, "the session that answers")
    reject = make("reject", "refuse a call")
    _call_id(reject)
    reject.add_argument("--status", type=int, metavar="N", help="SIP status, 400 to 699 (the service's default: 603)")
    refer = make("refer", "transfer a call")
    _call_id(refer)
    refer.add_argument("target", metavar="TARGET", help="tel:+14155550123 or sip:agent@example.com")
    hangup = make("hangup", "end a call")
    _call_id(hangup)
    for action in (accept, reject, refer, hangup):
        _service(action, no_key)


def _call_id(to: ArgumentParser) -> None:
    to.add_argument("call_id", metavar="CALL_ID", help="rtc_..., from the webhook realtime.call.incoming")


def _session(to: ArgumentParser, what: str) -> None:
    group = to.add_argument_group(what)
    group.add_argument("--session", metavar="FILE.json", help='in the wire\'s shape; "-" reads stdin')
    group.add_argument("--model", help="set in the session, as are these:")
    group.add_argument("--instructions", metavar="TEXT")
    group.add_argument("--voice", metavar="NAME")


def _service(to: ArgumentParser, no_key: type[Action]) -> None:
    group = to.add_argument_group("whom to ask")
    group.add_argument("--server", metavar="URL", help="API base, such as https://host/v1 (else OPENAI_BASE_URL)")
    group.add_argument("--key-file", metavar="PATH", help="file with the API key, instead of OPENAI_API_KEY")
    group.add_argument("--key", action=no_key, help=SUPPRESS)
    group.add_argument("--ca", metavar="FILE.pem", help="the authority to trust instead of the system's")
    group.add_argument(
        "--timeout", type=float, default=30.0, metavar="S", help="of each attempt (default: %(default)g)"
    )
