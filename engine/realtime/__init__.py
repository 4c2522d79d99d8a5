"""The Realtime protocol as data and state: no I/O, no clock, no samples.

events.py        one frozen type per event (client_events, server_events, response_events; event_base what they share)
wire.py          JSON to events and back
protocol.py      Protocol(role): receive, send, outgoing
transitions.py   the state machines as one table, for both roles
ledger.py        the rules that move the state; output.py (items and parts of a response), items.py (the conversation)
client_rules.py  what a client may ask; session.py the configuration; problems.py the words of every refusal
roles.py         CLIENT and SERVER; redaction.py keeps secrets out of what people read
types/           every object of the reference as a frozen struct: sessions, tools, items, what goes over HTTP
rules.py         what may be sent, checked before it is; types and rules are imported by whoever uses them
"""

from __future__ import annotations

from engine.realtime import events, problems, session, wire
from engine.realtime.items import Item, Items
from engine.realtime.protocol import Anomaly, Protocol, Requested, Verdict
from engine.realtime.roles import Role
from engine.realtime.transitions import Session, Slot, Turn

__all__ = [
    "Anomaly",
    "Item",
    "Items",
    "Protocol",
    "Requested",
    "Role",
    "Session",
    "Slot",
    "Turn",
    "Verdict",
    "events",
    "problems",
    "session",
    "wire",
]
