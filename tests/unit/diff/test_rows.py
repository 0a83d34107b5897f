"""The pure half of comparing rows: the text of a row, merging sorted streams, sorting on disk."""

from __future__ import annotations

import random
import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowdb.controller.diff.rows.digest import Store, differing, shares
from cowdb.controller.diff.rows.merge import Names, Row, merge
from cowdb.controller.diff.rows.record import fields
from cowdb.controller.diff.rows.spill import Sorter
from cowdb.errors import CowdbError

VALUES = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))


def printed(values: list[str | None]) -> str:
    """What record_out prints (src/backend/utils/adt/rowtypes.c): quotes where something is empty
    or holds one of these, and both quotes and backslashes doubled."""
    texts = []
    for value in values:
        if value is None:
            texts.append("")
        elif value == "" or any(c in '"\\(),' or c.isspace() for c in value):
            texts.append('"' + value.replace("\\", "\\\\").replace('"', '""') + '"')
        else:
            texts.append(value)
    return f"({','.join(texts)})"


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_a_row_is_taken_apart_as_it_was_put_together(values: list[str | None]) -> None:
    assert fields(printed(values)) == values


@pytest.mark.parametrize("text", ["", "(", "a,b", '("a'])
def test_what_is_no_row_is_refused(text: str) -> None:
    with pytest.raises(CowdbError):
        fields(text)


def rows(values: dict[str, str]) -> list[Row]:
    return sorted((f"({key})".encode(), f"({key},{value})".encode())
                  for key, value in values.items())  # fmt: skip


SMALL = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["1", "2"]))


@given(SMALL, SMALL)
def test_merging_finds_exactly_what_differs(one: dict[str, str], two: dict[str, str]) -> None:
    found = merge(rows(one), rows(two), Names(["k", "v"], ["k"]), most=100)
    assert found.added == len(two.keys() - one.keys())
    assert found.removed == len(one.keys() - two.keys())
    assert found.changed == sum(one[key] != two[key] for key in one.keys() & two.keys())
    assert found.columns == ({"v": found.changed} if found.changed else {})
    assert len(found.sample) == found.added + found.removed + found.changed


def test_without_a_key_rows_are_a_multiset() -> None:
    same = [(b"(x)", b"(x)")]
    found = merge(same * 2, same * 5, Names(["a"], []), most=2)
    assert (found.added, found.removed, found.changed) == (3, 0, 0)
    assert found.sample == [{"change": "added", "key": {}, "row": {"a": "x"}}] * 2


def test_sorting_more_than_fits_in_memory() -> None:
    seeded = random.Random(1)
    made = [(seeded.randbytes(3), seeded.randbytes(seeded.randrange(20))) for _ in range(2000)]
    with Sorter(most_bytes=10_000) as sorter:
        for row in made:
            sorter.add(row)
        assert list(sorter.sorted()) == sorted(made)


DIGESTS = st.lists(st.sampled_from("abcd"), max_size=12)


@given(DIGESTS, DIGESTS)
def test_rows_that_a_side_has_more_often_differ(one: list[str], two: list[str]) -> None:
    sides = [b"".join(letter.encode() * 16 + struct.pack("!HIH", side, side, place)
                      for place, letter in enumerate(letters))
             for side, letters in enumerate((one, two))]  # fmt: skip
    for letters, tids, more in zip((one, two), differing(*sides), (
            Counter(one) - Counter(two), Counter(two) - Counter(one)), strict=True):  # fmt: skip
        assert Counter(letters[struct.unpack("!HIH", tid)[2]] for tid in tids) == more


def test_digests_beyond_the_bound_come_back_from_the_file() -> None:
    seeded = random.Random(1)
    made = [(seeded.randrange(5), seeded.randbytes(24 * seeded.randrange(9))) for _ in range(300)]
    with Store(most_bytes=500) as store:
        for part, records in made:
            store.add(part, records)
        for part in range(5):
            assert sorted(store.take(part)) == sorted(b"".join(r for p, r in made if p == part))
            assert store.take(part) == b""


@given(
    st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 3000)), max_size=8), st.integers(1, 9)
)
def test_shares_are_all_of_the_blocks_in_order(spans: list[tuple[int, int]], most: int) -> None:
    ranges, end = [], 0
    for gap, length in spans:
        ranges.append((end + gap, end + gap + length))
        end += gap + length
    pieces = [piece for share in shares(ranges, most) for piece in share]
    assert all(high - low <= 512 for low, high in pieces)
    blocks = [block for low, high in pieces for block in range(low, high)]
    assert blocks == [block for low, high in ranges for block in range(low, high)]
