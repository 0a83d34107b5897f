"""How each step is done and undone: one module for volumes, for cowdb's servers, for
their ports at the front, for sources."""

from cowdb.agent.effects import doors, servers, sources, volumes
from cowdb.agent.effects.dispatch import do, undo

__all__ = ["do", "doors", "servers", "sources", "undo", "volumes"]
