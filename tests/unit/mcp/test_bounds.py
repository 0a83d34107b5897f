"""Answers cut to a size, and how the rest of them is found."""

from __future__ import annotations

import pytest

from cowdb.errors import InvalidError, NotFoundError
from cowdb.mcp import bounds
from cowdb.mcp.bounds import Cut

LONG = {
    "schema": [{"name": f"t{number}", "text": "x" * 300} for number in range(500)],
    "a/b~c": {"deep": ["y" * 9000]},
    "small": 1,
}


def test_what_has_room_is_left_alone() -> None:
    assert bounds.bounded({"a": [1, 2]}) == ({"a": [1, 2]}, [])


@pytest.mark.parametrize("characters", [100, 500, 2000, 20_000, 100_000])
def test_an_answer_is_never_longer_and_says_what_is_missing(characters: int) -> None:
    found, cuts = bounds.bounded(LONG, characters)
    assert bounds.size(found) <= characters
    assert cuts
    for cut in cuts:
        whole = bounds.at(LONG, cut.place)
        assert cut.of == len(whole)
        assert 0 <= cut.shown < cut.of


def test_all_of_it_can_be_read_piece_by_piece() -> None:
    read: list[object] = []
    after: int | None = 0
    while after is not None:
        part = bounds.part(LONG, "/schema", after, 100, 5000)
        assert bounds.size(part.value) <= 5000
        assert part.of == 500
        assert part.cuts == []
        read += part.value
        after = part.next
    assert read == LONG["schema"]


def test_a_text_is_read_by_characters_and_an_object_by_fields() -> None:
    first = bounds.part(LONG, "/a~1b~0c/deep/0", 0, 10, 5000)
    second = bounds.part(LONG, "/a~1b~0c/deep/0", first.next or 0, 10, 5000)
    assert (first.value + second.value, second.next, second.of) == ("y" * 9000, None, 9000)
    fields = bounds.part(LONG, "", 1, 1, 1000)
    assert (list(fields.value), fields.next, fields.of) == (["a/b~c"], 2, 3)
    assert fields.cuts == [Cut("/a~1b~0c/deep/0", len(fields.value["a/b~c"]["deep"][0]) - 2, 9000)]


def test_one_item_is_given_however_little_room_there_is() -> None:
    part = bounds.part([["z" * 5000], ["y" * 5000]], "", 0, 10, 60)
    assert part.next == 1
    assert bounds.size(part.value) <= 60


@pytest.mark.parametrize("place", ["/none", "/schema/500", "/small/0", "/schema/-1"])
def test_a_place_that_is_not_there(place: str) -> None:
    with pytest.raises(NotFoundError, match=place):
        bounds.part(LONG, place, 0, 1)


def test_what_is_no_place() -> None:
    with pytest.raises(InvalidError, match="is not a place"):
        bounds.part(LONG, "schema", 0, 1)
