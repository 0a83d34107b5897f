"""What cowdb changes in a branch is no difference between the branch and its source."""

from __future__ import annotations

from tests.agenthost import AgentHost

SUBSCRIPTION = (
    "CREATE SUBSCRIPTION away CONNECTION 'host=production password=sesame' PUBLICATION p"
    " WITH (connect = false)"
)


def test_a_new_branch_is_like_its_source(host: AgentHost) -> None:
    source = host.json("source", "add", "main", "--empty")
    host.sql(source["dsn"], "CREATE TABLE t (a int)", SUBSCRIPTION,
             "CREATE ROLE clerk; ALTER ROLE clerk SET work_mem = '1MB'")  # fmt: skip
    branch = host.json("branch", "create", "one", "--from", "main")
    same = host.json("diff", "main", "one")
    assert same["schema"] == []
    assert any("what cowdb itself sets" in line for line in same["not_compared"])
    host.sql(branch["dsn"], "ALTER ROLE clerk NOINHERIT",
             "ALTER SUBSCRIPTION away SET (binary = true)")  # fmt: skip
    told = host.json("diff", "main", "one", status=3)
    assert [(item["kind"], item["name"]) for item in told["schema"]] == [
        ("role", "clerk"), ("subscription", "away"),
    ]  # fmt: skip
    assert "sesame" not in str(told)
