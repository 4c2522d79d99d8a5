"""A spoken conversation: where endpoints, protocol and transport meet.

meeting.py       connect, agree, start the sound, end all of it
line.py          one socket and the protocol's state on it; handshake.py its first words
keeper.py        another line when one is lost or will expire: reconnect.py how long it waits, quiet.py when nobody
                 will notice, history.py what the new session is told, connected.py what the conversation does
conversation.py  the tasks and what they do with what happens
telling.py       what it tells of itself while it runs
controls.py      what an application may do to it: say, play, mute, hold, interrupt, commit
commits.py       commits that wait for their sound; local.py the application's own sounds
replies.py       the model's sound, barge-in, truncation
ending.py        when the conversation of a file is over
toolbox.py       the model's calls: rounds.py their books, tool.py and schema.py what a tool is, toolrun.py one call,
                 progress.py words meanwhile, approvals.py and mcpservers.py MCP, toolevents.py what is told
transcript.py    a transcription session's lines; captions.py these as files
turns.py         what is told of each turn; feed.py how it is handed over; observer.py who may look on
settings.py      what was asked
"""

from engine.conversation.approvals import ApprovalRequest, Approve
from engine.conversation.commits import Commit, CommitOutcome
from engine.conversation.controls import Activation, Spoken
from engine.conversation.conversation import Conversation
from engine.conversation.deviceevents import DeviceChanged
from engine.conversation.line import OpenConnection
from engine.conversation.local import LocalSound, Played
from engine.conversation.mcpservers import McpServer
from engine.conversation.meeting import converse
from engine.conversation.observer import Observer
from engine.conversation.reconnect import Reconnect
from engine.conversation.settings import Settings
from engine.conversation.tool import AnyTool, Tool, ToolCall, tool
from engine.conversation.toolevents import ToolFinished
from engine.conversation.transcript import Line, Transcript
from engine.conversation.turns import Turn

__all__ = [
    "Activation",
    "AnyTool",
    "ApprovalRequest",
    "Approve",
    "Commit",
    "CommitOutcome",
    "Conversation",
    "DeviceChanged",
    "Line",
    "LocalSound",
    "McpServer",
    "Observer",
    "OpenConnection",
    "Played",
    "Reconnect",
    "Settings",
    "Spoken",
    "Tool",
    "ToolCall",
    "ToolFinished",
    "Transcript",
    "Turn",
    "converse",
    "tool",
]
