"""A spoken conversation: where endpoints, protocol and transport meet.

conversation.py  the three tasks and what they do with what happens
handshake.py     the agreement on a session, before any sound
replies.py       the model's sound, barge-in, truncation
turns.py         what is told of each turn; feed.py how it is handed over; settings.py what was asked
"""

from engine.conversation.conversation import Conversation, Observer, OpenConnection, converse
from engine.conversation.settings import Settings
from engine.conversation.turns import Turn

__all__ = ["Conversation", "Observer", "OpenConnection", "Settings", "Turn", "converse"]
