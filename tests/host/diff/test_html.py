"""`cowdb diff --html` on real databases, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.plainpg import PlainPostgres

ONE = """
CREATE TABLE shop (id int PRIMARY KEY, name text, price numeric(10,2));
INSERT INTO shop SELECT n, 'thing ' || n, n FROM generate_series(1, 50) n;
CREATE FUNCTION total() RETURNS numeric LANGUAGE sql AS $$
SELECT sum(price)
FROM shop
$$;
CREATE EXTENSION postgres_fdw;
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'far.example');
CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'u', password 'first-secret');
"""
CHANGE = """
UPDATE shop SET name = '<script>alert(1)</script>' WHERE id = 7;
DELETE FROM shop WHERE id > 48;
ALTER TABLE shop ADD COLUMN colour text DEFAULT 'green';
CREATE OR REPLACE FUNCTION total() RETURNS numeric LANGUAGE sql AS $$
SELECT round(sum(price))
FROM shop
$$;
ALTER USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (SET password 'other-secret');
"""


def cowdb(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cowdb", *words],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_page_of_two_real_databases(server: PlainPostgres, tmp_path: Path) -> None:
    first = server.database(ONE)
    other = server.database(ONE, CHANGE)
    file = tmp_path / "diff.html"
    sides = [f"postgresql://postgres:a-password@127.0.0.1:{server.port}/{name}"
             for name in (first, other)]  # fmt: skip
    plain = cowdb("diff", *sides, "--rows")
    found = cowdb("diff", *sides, "--rows", "--html", str(file))
    assert (found.returncode, found.stdout, found.stderr) == (3, plain.stdout, plain.stderr)
    text = file.read_text(encoding="utf-8")
    for part in ("public.shop.colour", "round", "thing 7",
                 "&lt;script&gt;alert(1)&lt;/script&gt;", "thing 49"):  # fmt: skip
        assert part in text
    assert "<script>alert" not in text
    for secret in ("a-password", "first-secret", "other-secret"):
        assert secret not in text
    again = cowdb("diff", *sides, "--json", "--html", str(file))
    assert again.returncode == 3
    assert json.loads(again.stdout)["identical"] is False
    assert "row contents: not asked for" in file.read_text(encoding="utf-8")


def test_all_of_it_with_a_larger_sample_and_the_migration(
    server: PlainPostgres, tmp_path: Path
) -> None:
    first = server.database(ONE)
    other = server.database(ONE, "UPDATE shop SET price = price + 1", "ALTER TABLE shop DROP name")
    file = tmp_path / "all.html"
    sides = [server.dsn(first), server.dsn(other)]
    found = cowdb("diff", *sides, "-a", "--sample", "45", "--sql", "--html", str(file))
    assert found.returncode == 3, found.stderr
    assert "ALTER TABLE public.shop DROP COLUMN name;" in found.stdout
    text = file.read_text(encoding="utf-8")
    for part in ("ALTER TABLE public.shop DROP COLUMN name;", "loses data", "Numbers of rows",
                 "45 of 50 shown"):  # fmt: skip
        assert part in text
    report = json.loads(cowdb("diff", *sides, "--all", "--sample", "45", "--json").stdout)
    assert set(report["timings_ms"]) >= {"schema", "counts", "rows"}
    (line,) = report["rows"]
    assert (line["changed"], len(line["sample"])) == (50, 45)
    shown = cowdb("diff", *sides, "--rows", "--sample", "45", "--details").stdout
    assert shown.count("    ~ id=") == 45
    assert "... 5 more (--sample N)" in shown
    report = json.loads(cowdb("diff", *sides, "--rows", "--sample", "0", "--json").stdout)
    (line,) = report["rows"]
    assert (line["changed"], line["sample"]) == (50, [])


def test_a_page_that_says_that_nothing_differs(server: PlainPostgres, tmp_path: Path) -> None:
    names = [server.database(ONE) for _ in range(3)]
    file = tmp_path / "same.html"
    found = cowdb("diff", *(server.dsn(name) for name in names), "--rows", "--html", str(file))
    assert found.returncode == 0, found.stderr
    assert "No difference in what was compared" in file.read_text(encoding="utf-8")
