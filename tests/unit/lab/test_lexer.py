"""Where statements of an SQL file begin, and what of them is a literal."""

from __future__ import annotations

import pytest

from cowdb.controller.lab.steps.lexer import Written, plain, statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1;\n\nselect 2", [("select 1", 1), ("select 2", 3)]),
        ("-- a;\n/* b; /* c */ ; */ select 1;", [("select 1", 2)]),
        ("select ';' as \";\";\nselect E'\\';';",
         [("select ';' as \";\"", 1), ("select E'\\';'", 2)]),
        ("do $$ begin; $x$ end $$;\nselect 1;", [("do $$ begin; $x$ end $$", 1), ("select 1", 2)]),
        ("create rule r as on insert to t do (select 1; select 2);\nselect 3;",
         [("create rule r as on insert to t do (select 1; select 2)", 1), ("select 3", 2)]),
        ("create function f() returns int begin atomic\n select case when true then 1 end;\nend;\n"
         "select 1;",
         [("create function f() returns int begin atomic select case when true then 1 end; end", 1),
          ("select 1", 4)]),
        ("begin;\nend;", [("begin", 1), ("end", 2)]),
        ("copy t from stdin;\n1;2\n'\n\\.\nselect 1;", [("copy t from stdin", 1), ("select 1", 5)]),
        ("\\set x 1\nselect :x;\n\\echo done;\nselect 2 \\gset\nselect 3;",
         [("select :x", 2), ("select 2", 4), ("select 3", 5)]),
        ("select $1, a$b from t;\nselect 1;", [("select $1, a$b from t", 1), ("select 1", 2)]),
        ("select 'open", [("select 'open", 1)]),
        ("", []), (" ; ;\n", []),
    ],
)  # fmt: skip
def test_statements(text: str, expected: list[tuple[str, int]]) -> None:
    assert statements(text) == [Written(*item) for item in expected]


def test_what_a_server_logs_is_found_again() -> None:
    """psql sends a statement with its comments, or without them, and with its semicolon."""
    written = statements("alter table t -- slow\n  add column a int;")[0]
    for logged in (
        "alter table t -- slow\n  add column a int;",
        "alter table t \n add column a int",
    ):
        assert plain(logged) == written.plain
