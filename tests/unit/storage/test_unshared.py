"""Which bytes two extent maps do not share, against looking at each byte."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cowdb.agent.storage.fiemap import Placed
from cowdb.agent.storage.unshared import different

Layout = list[Placed]


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Pieces of up to 5 bytes with holes between them, at few places on disk."""
    position = 0
    found = []
    for _ in range(draw(st.integers(0, 6))):
        position += draw(st.integers(0, 3))
        end = position + draw(st.integers(1, 5))
        found.append(Placed(position, end, draw(st.sampled_from([None, 0, 0, 100]))))
        position = end
    return found


def place(layout: Layout, position: int) -> object:
    for piece in layout:
        if piece.start <= position < piece.end:
            return object() if piece.shift is None else position + piece.shift
    return "zero"


@settings(deadline=None)
@given(layouts(), layouts(), st.integers(0, 40))
def test_against_every_byte(new: Layout, old: Layout, size: int) -> None:
    found = list(different(new, old, size))
    assert all(low < high for low, high in found)
    told = {position for low, high in found for position in range(low, high)}
    assert told == {position for position in range(size)
                    if place(new, position) != place(old, position)}  # fmt: skip


@settings(deadline=None)
@given(layouts(), st.integers(0, 40))
def test_a_map_and_itself(layout: Layout, size: int) -> None:
    told = {position for low, high in different(layout, layout, size)
            for position in range(low, high)}  # fmt: skip
    assert told == {position for piece in layout if piece.shift is None
                    for position in range(piece.start, min(piece.end, size))}  # fmt: skip
