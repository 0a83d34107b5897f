"""What is to be tried: a YAML file, read and validated; an error points at its line and key."""

from cowdb.controller.lab.spec.model import (
    Lab,
    Limits,
    Load,
    Query,
    Strategy,
    Validation,
)
from cowdb.controller.lab.spec.reading import parse, read
from cowdb.controller.lab.spec.schema import json_schema

__all__ = ["Lab", "Limits", "Load", "Query", "Strategy", "Validation", "json_schema", "parse",
           "read"]  # fmt: skip
