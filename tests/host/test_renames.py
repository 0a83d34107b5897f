"""A table that a branch has renamed is the same table, and not one that came and one that went."""

from __future__ import annotations

from tests.agenthost import AgentHost

SHOP = (
    "create table users (id int primary key, name text, v int)",
    "create index users_by_name on users (name)",
    "create table orders (id int primary key, user_id int references users)",
    "create view names as select name from users",
    "insert into users select i, 'u' || i, 0 from generate_series(1, 5000) i",
    "insert into orders select i, i from generate_series(1, 5000) i",
    "create table tiny (id int primary key, v int)",
    "insert into tiny values (1, 1)",
    "create table empty (v int)",
    "vacuum (freeze, analyze)",
)


def _branches(host: AgentHost) -> dict[str, str]:
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], *SHOP)
    host.json("snapshot", "create", "main@s", "--settle")
    return {name: host.json("branch", "create", name, "--from", "main@s")["dsn"] for name in "ab"}


def test_a_renamed_table_is_compared_with_what_it_was(host: AgentHost) -> None:
    dsn = _branches(host)
    host.sql(dsn["b"], "create schema app", "alter table users rename to people",
             "alter table people set schema app", "update app.people set v = 1 where id = 7",
             "alter table tiny rename to small", "update small set v = 2",
             "alter table app.people add column level int")  # fmt: skip
    found = host.json_any("diff", "a", "b", "--schema", "--counts", "--rows")
    assert found["renamed"] == [
        {"kind": "table", "side": "b", "names": ["public.tiny", "public.small"]},
        {"kind": "table", "side": "b", "names": ["public.users", "app.people"]},
    ]
    rows = {line["table"]: (line["added"], line["removed"], line["changed"])
            for line in found["rows"]}  # fmt: skip
    assert rows == {"public.users": (0, 0, 1), "public.tiny": (0, 0, 1)}
    assert found["method"]["public.users"] == "changed-blocks"
    counts = {line["table"]: line["counts"] for line in found["counts"]}
    assert counts["public.users"] == [5000, 5000]
    assert "app.people" not in counts
    # An index moves to another schema with its table, and a view goes on calling it `users`.
    assert {(item["kind"], item["name"], item["change"]) for item in found["schema"]
            if item["kind"] not in ("index", "view")} == {
        ("schema", "app", "added"), ("table", "public.users", "changed"),
        ("table", "public.tiny", "changed"), ("column", "public.users.level", "added"),
    }  # fmt: skip
    (table,) = (item for item in found["schema"] if item["name"] == "public.tiny")
    assert table["details"] == [{"property": "name", "values": ["public.tiny", "public.small"]}]
    shown = host.run("diff", "a", "b", "--rows", status=3).stdout
    assert "name: public.users -> app.people" in shown


def test_two_new_tables_of_one_number_are_not_one_renamed_table(host: AgentHost) -> None:
    """Both branches make a table, and number it alike."""
    dsn = _branches(host)
    for name in "ab":
        host.sql(
            dsn[name],
            f"create table by_{name} (id int primary key, v text)",
            f"insert into by_{name} select i, 'v' from generate_series(1, 3000) i",
        )
    found = host.json_any("diff", "a", "b")
    assert found["renamed"] == []
    assert {(item["name"], item["change"]) for item in found["schema"]
            if item["kind"] == "table"} == {
        ("public.by_a", "removed"), ("public.by_b", "added")}  # fmt: skip


def test_what_cannot_be_proven_is_told_as_gone_and_come(host: AgentHost) -> None:
    """An empty table without an index has no block to know it by; databases by URL have none."""
    dsn = _branches(host)
    host.sql(dsn["b"], "alter table empty rename to void", "alter table users rename to people")
    found = host.json_any("diff", "a", "b", "--schema")
    assert [item["names"] for item in found["renamed"]] == [["public.users", "public.people"]]
    assert {("public.empty", "removed"), ("public.void", "added")} <= {
        (item["name"], item["change"]) for item in found["schema"]}  # fmt: skip
    assert host.json_any("diff", dsn["a"], dsn["b"], "--schema")["renamed"] == []
