"""Sockets: how encoded events travel. A transport knows neither audio nor the protocol's meaning."""

from engine.transport.connection import Connection, Prompt
from engine.transport.memory import pair

__all__ = ["Connection", "Prompt", "pair"]
