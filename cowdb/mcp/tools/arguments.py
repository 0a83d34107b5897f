"""Arguments that several tools take, as the caller reads of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field

from cowdb.mcp.bounds import CHARACTERS

T = TypeVar("T")
A = TypeVar("A", bound=BaseModel)

Branch = Annotated[str, Field(description="A branch's name; not a source, a snapshot or a URL.")]
Database = Annotated[
    str | None, Field(description="A database of the branch's server; null for its own.")
]
After = Annotated[int, Field(ge=0, description="From this number on: what `next` said.")]
Limit = Annotated[int, Field(ge=1, le=500, description="How many at most.")]
Timeout = Annotated[
    float, Field(gt=0, le=3600, description="Seconds for all of it; then it is ended.")
]
Tables = Annotated[
    list[str], Field(description="Shell patterns on schema.table or table; empty for all.")
]


def page(
    items: Sequence[T], after: int, limit: int, shape: Callable[[T], A]
) -> tuple[list[A], int | None]:
    """(that part of them, as far as there is room in an answer, and what to ask for next)."""
    found: list[A] = []
    left = CHARACTERS
    for item in items[after : after + limit]:
        answer = shape(item)
        left -= len(answer.model_dump_json())
        if found and left < 0:
            break
        found.append(answer)
    end = after + len(found)
    return found, end if end < len(items) else None
