"""The Realtime protocol as data and state: no I/O, no clock, no samples.

events.py        one frozen type per event (client_events, server_events, response_events; event_base what they share)
wire.py          JSON to events and back
protocol.py      Protocol(role): receive, send, outgoing
transitions.py   the state machines as one table, for both roles
ledger.py        the rules that move the state; output.py (items and parts of a response), items.py (the conversation)
asking.py        what a client keeps: requests that wait for the slot, updates and their answers; agreement.py compares
                 these; words.py (what was said, by item), usage.py (tokens and cost)
client_rules.py  what a client may ask; session.py the configuration; problems.py the words of every refusal
roles.py         CLIENT and SERVER; redaction.py keeps secrets out of what people read
types/           every object of the reference as a frozen struct: sessions, tools, items, what goes over HTTP
rules.py         what may be sent, checked before it is; types and rules are imported by whoever uses them
"""

from __future__ import annotations

from engine.realtime import events, problems, session, wire
from engine.realtime.asking import Requested
from engine.realtime.items import Item, Items
from engine.realtime.protocol import Anomaly, Protocol, Verdict
from engine.realtime.roles import Role
from engine.realtime.transitions import Session, Slot, Turn
from engine.realtime.usage import Meter, Prices, Tally
from engine.realtime.words import Entry, Hearing

__all__ = [
    "Anomaly",
    "Entry",
    "Hearing",
    "Item",
    "Items",
    "Meter",
    "Prices",
    "Protocol",
    "Requested",
    "Role",
    "Session",
    "Slot",
    "Tally",
    "Turn",
    "Verdict",
    "events",
    "problems",
    "session",
    "wire",
]
