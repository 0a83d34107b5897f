"""How each step is done and undone: one module for volumes, for cowdb's servers, for sources."""

from cowdb.agent.effects import servers, sources, volumes
from cowdb.agent.effects.dispatch import do, undo

__all__ = ["do", "servers", "sources", "undo", "volumes"]
