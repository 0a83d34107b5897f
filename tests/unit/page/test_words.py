"""What changed inside a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cowdb.controller.diff.page.words import (
    CONTEXT,
    Gap,
    Line,
    Pieces,
    compare_items,
    compare_texts,
    compare_words,
)

TEXTS = st.text(st.sampled_from("ab \n.,1("), max_size=40)


def joined(pieces: Pieces) -> str:
    return "".join(text for _, text in pieces)


def marked(pieces: Pieces) -> list[str]:
    return [text for changed, text in pieces if changed]


@given(TEXTS, TEXTS)
def test_pieces_are_the_whole_texts_and_what_is_not_marked_is_equal(one: str, two: str) -> None:
    old, new = compare_words(one, two)
    assert (joined(old), joined(new)) == (one, two)
    if one == two:
        assert not marked(old) + marked(new)
    kept = ["".join(text for changed, text in side if not changed).split() for side in (old, new)]
    assert "".join(kept[0]) == "".join(kept[1])


@given(TEXTS, TEXTS)
def test_every_line_is_told_in_its_place(one: str, two: str) -> None:
    lines = compare_texts(one, two)
    old, new = one.split("\n"), two.split("\n")
    hidden = 0
    at = [1, 1]
    for line in lines:
        if isinstance(line, Gap):
            assert old[at[0] - 1 :][: line.lines] == new[at[1] - 1 :][: line.lines]
            hidden += line.lines
            at = [at[0] + line.lines, at[1] + line.lines]
            continue
        for side, (number, pieces, whole) in enumerate(
            zip(line.number, (line.old, line.new), (old, new), strict=True)
        ):
            if pieces is not None:
                assert number == at[side]
                assert joined(pieces) == whole[number - 1]
                at[side] += 1
    assert at == [len(old) + 1, len(new) + 1]
    assert (one == two) == all(isinstance(item, Gap) or item.change == "same" for item in lines)


def test_a_changed_word_is_marked_and_no_other() -> None:
    old, new = compare_words(
        "where status <> 'paid' and id > 7", "where status <> 'sent' and id > 7"
    )
    assert (marked(old), marked(new)) == (["paid"], ["sent"])


def test_texts_with_little_in_common_are_marked_as_a_whole() -> None:
    assert compare_words("alpha beta", "gamma delta") == (
        ((True, "alpha beta"),),
        ((True, "gamma delta"),),
    )


def test_a_line_is_paired_with_the_one_it_was_and_not_with_the_next() -> None:
    lines = compare_texts("count(orders.id) as n", "max(placed_at)\ncount(orders.id) as number")
    assert [line.change for line in lines if isinstance(line, Line)] == ["added", "changed"]


def test_long_stretches_of_equal_lines_are_counted() -> None:
    body = [f"line {number}" for number in range(50)]
    other = [*body[:20], "another", *body[20:]]
    lines = compare_texts("\n".join(body), "\n".join(other))
    assert lines[0] == Gap(20 - CONTEXT)
    assert lines[-1] == Gap(30 - CONTEXT)
    assert [item.change for item in lines[1:-1] if isinstance(item, Line)] == [
        *["same"] * CONTEXT, "added", *["same"] * CONTEXT,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "two", "old", "new"),
    [
        (["a", "b"], ["a", "c"], ["b"], ["c"]),
        (["a", "b"], ["b", "a"], ["b"], ["b"]),  # moved
        ([], ["a"], [], ["a"]),
    ],
)
def test_lists_are_compared_item_by_item(
    one: list[str], two: list[str], old: list[str], new: list[str]
) -> None:
    first, other = compare_items(one, two)
    assert (marked(first), marked(other)) == (old, new)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("between", ["", "\n"], ids=["no line alike", "blank lines alike"])
def test_two_long_texts_are_compared_in_bounded_time(between: str) -> None:
    """Thirty thousand lines each: compared pair by pair they would outlast the limit by far."""
    one, two = ("\n".join(f"{word} {n}{between}" for n in range(30_000)) for word in ("a", "b"))
    lines = compare_texts(one, two)
    assert sum(item.old is not None for item in lines if isinstance(item, Line)) >= 30_000
