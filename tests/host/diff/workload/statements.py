"""Random statements for the tables of the property test. Pure, but for the given random source."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.host.diff.workload.tables import KINDS, Kind, kinds

_ADDED = (
    "int", "int DEFAULT 1", "int DEFAULT 2", "text DEFAULT 'x'", "text DEFAULT 'y'",
    "numeric DEFAULT 1.0", "numeric DEFAULT 1.00", "timestamptz DEFAULT now()",
    "mood DEFAULT 'sad'", "float8 DEFAULT random()", "pair DEFAULT ROW(1, 'z')",
    "regclass DEFAULT 't_int'", "int GENERATED ALWAYS AS (i + 1) STORED", "int NOT NULL DEFAULT 7",
)  # fmt: skip
_RETYPED = (
    "ALTER w TYPE bigint", "ALTER w TYPE int", "ALTER v TYPE varchar(400)", "ALTER v TYPE text",
    "ALTER v TYPE varchar", 'ALTER v TYPE text COLLATE "C"', "ALTER v TYPE text USING v || '.'",
    "ALTER w TYPE numeric", "ALTER w TYPE positive", "ALTER extra1 TYPE text", "ALTER w TYPE int",
)  # fmt: skip
_TYPES = (
    "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'new' BEFORE 'fine'",
    "ALTER TYPE mood RENAME VALUE 'fine' TO 'okay'",
    "ALTER TYPE mood RENAME VALUE 'okay' TO 'fine'",
    "ALTER TYPE pair ADD ATTRIBUTE z int", "ALTER TYPE pair DROP ATTRIBUTE IF EXISTS y",
    "ALTER TYPE nested DROP ATTRIBUTE IF EXISTS m", "ALTER TABLE shape_of_row DROP COLUMN b",
    "ALTER TABLE shape_of_row ADD COLUMN d int", "ALTER TYPE pair RENAME ATTRIBUTE x TO xx",
)  # fmt: skip
_PARTITIONS = (
    "ALTER TABLE t_part DETACH PARTITION t_part_2",
    "ALTER TABLE t_part ATTACH PARTITION t_part_2 FOR VALUES FROM (400) TO (900)",
    "CREATE TABLE t_part_3 PARTITION OF t_part FOR VALUES FROM (200000) TO (300000)",
    "DROP TABLE IF EXISTS t_part_3", "TRUNCATE t_part_1", "UPDATE t_part SET id = id + 400",
    "ALTER TABLE t_part DETACH PARTITION t_part_1",
    "ALTER TABLE t_part ATTACH PARTITION t_part_1 FOR VALUES FROM (MINVALUE) TO (400)",
    "ALTER TABLE t_child NO INHERIT t_parent", "ALTER TABLE t_child INHERIT t_parent",
    "UPDATE t_parent SET v = v || 'p' WHERE i % 50 = 3",
)  # fmt: skip
_SPACE = (
    "SET allow_in_place_tablespaces = on;;CREATE TABLESPACE more LOCATION '';;"
    "ALTER TABLE {t} SET TABLESPACE more"
)


class Statements:
    """:param salt: makes the rows of one branch differ from those of another.
    :param gentle: without what makes other kinds of statements fail later: for the base."""

    def __init__(self, rng: random.Random, major: int, *, salt: int, gentle: bool = False) -> None:
        self._rng, self._major, self._salt, self._gentle = rng, major, salt, gentle
        self._kinds = kinds(major)
        self._gids = 0

    def gid(self) -> str:
        self._gids += 1
        return f"g{self._salt}_{self._gids}"

    def _kind(self) -> Kind:
        return self._rng.choice(self._kinds)

    def _rows(self) -> tuple[int, int]:
        low = self._rng.choice([self._rng.randrange(1, 60), self._rng.randrange(1, 1600)])
        return low, low + self._rng.choice([0, 0, 0, 2, 30, 250])

    def _where(self) -> str:
        low, high = self._rows()
        return self._rng.choice([f"i BETWEEN {low} AND {high}"] * 6 + [f"i % 97 = {low % 97}"])

    # --- rows -------------------------------------------------------------------------------

    def change(self) -> str:
        """Rows are written, read or locked."""
        ways: list[tuple[int, Callable[[], str]]] = [
            (6, self._update), (4, self._insert), (3, self._upsert), (3, self._delete),
            (2, self._lock), (1, self._read), (1, self._copy), (1, self._rekey),
        ]  # fmt: skip
        if self._major >= 15:
            ways.append((1, self._merge))
        return self._pick(ways)

    def touches(self) -> list[str]:
        """A few rows of most tables, so that few rounds leave a kind of table unchanged."""
        return [
            f"UPDATE {kind.name} SET {self._sets(kind)} WHERE i % 211 = {self._rng.randrange(211)}"
            for kind in self._kinds if self._rng.random() < 0.5
        ]  # fmt: skip

    def _pick(self, ways: list[tuple[int, Callable[[], str]]]) -> str:
        (way,) = self._rng.choices([item for _, item in ways], [weight for weight, _ in ways])
        return way()

    def _sets(self, kind: Kind) -> str:
        own = [*kind.sets, f"v = v || '{self._salt}'", f"w = w + {self._salt + 1}", "w = NULL",
               "v = ''", "w = w", f"v = md5(v) || {self._salt}"]  # fmt: skip
        return self._rng.choice(own)

    def _update(self) -> str:
        kind = self._kind()
        return f"UPDATE {kind.name} SET {self._sets(kind)} WHERE {self._where()}"

    def _rekey(self) -> str:
        table = self._rng.choice(["t_int", "t_gen", "t_part", "t_uniq", "t_parent", "t_json"])
        key = "u" if table == "t_uniq" else "id"
        return f"UPDATE {table} SET {key} = {key} + 3000 WHERE {self._where()}"

    def _insert(self) -> str:
        low, high = self._rows()
        low, high = low + self._rng.choice([0, 1000, 5000]), high + 1000
        rows = self._kind().insert(low, min(high, low + 300), salt=self._salt)
        return f"{rows} ON CONFLICT DO NOTHING"

    def _upsert(self) -> str:
        kind = self._kind()
        low, high = self._rows()
        rows = kind.insert(low, high, salt=self._salt)
        if not kind.key:
            return rows
        return f"{rows} ON CONFLICT ({kind.key}) DO UPDATE SET {self._upserted(kind)}"

    def _upserted(self, kind: Kind) -> str:
        return self._rng.choice(
            ["v = excluded.v || 'u'", "w = excluded.w", f"v = {kind.name}.v || excluded.v"]
        )

    def _delete(self) -> str:
        kind = self._kind().name
        few = f"DELETE FROM {kind} WHERE {self._where()}"
        more = [f"DELETE FROM {kind} WHERE i % 7 = 3", f"DELETE FROM {kind} WHERE i > 200"]
        return self._rng.choice([few] * 6 + more)

    def _lock(self) -> str:
        how = self._rng.choice(["SHARE", "KEY SHARE", "UPDATE", "NO KEY UPDATE"])
        return f"SELECT 1 FROM {self._kind().name} WHERE {self._where()} FOR {how} SKIP LOCKED"

    def _read(self) -> str:
        return f"SELECT count(*), max(i) FROM {self._kind().name}"

    def _copy(self) -> str:
        table = self._rng.choice(["t_none", "t_unlogged", "t_wide", "t_int"])
        if table == "t_none":
            lines = "".join(f"x{n % 3}\t{n % 5}\t1\tcopied\n" for n in range(40))
            return f"COPY t_none (x, i, w, v) FROM STDIN<<{lines}"
        low, high = self._rows()
        lines = "".join(f"{n + 9000}\t{n}\t{self._salt}\tcopied\n" for n in range(low, high + 1))
        return f"COPY {table} (id, i, w, v) FROM STDIN<<{lines}"

    def _merge(self) -> str:
        table = self._rng.choice(["t_int", "t_json", "t_gen", "t_toast", "t_own"])
        low, high = self._rows()
        return (
            f"MERGE INTO {table} t USING generate_series({low}, {high}) g ON t.id = g"
            " WHEN MATCHED AND g % 3 = 0 THEN DELETE"
            f" WHEN MATCHED THEN UPDATE SET v = v || 'm{self._salt}'"
            " WHEN NOT MATCHED THEN INSERT (id, i, v) VALUES (g, g, 'merged')"
        )

    # --- everything else --------------------------------------------------------------------

    def anything(self) -> str:
        return self._pick([(5, self.change), (4, self.shape), (3, self._upkeep)])

    def safe(self) -> str:
        """What a snapshot that was taken before is not disturbed by."""
        return self._pick([(6, self.change), (2, self._upkeep)])

    def rewrite(self) -> str:
        return f"VACUUM FULL {self._kind().name}"

    def _upkeep(self) -> str:
        table = self._kind().name
        return self._rng.choice([
            f"VACUUM {table}", f"VACUUM (FREEZE) {table}", f"VACUUM (FULL) {table}",
            f"VACUUM FULL {table}", f"VACUUM (FULL, FREEZE) {table}", f"ANALYZE {table}",
            f"VACUUM (TRUNCATE) {table}", f"CLUSTER {table} USING {table}_pkey",
            "CLUSTER t_int USING t_int_v", "CLUSTER t_int USING t_int_n",
            f"REINDEX TABLE {table}", f"REINDEX TABLE CONCURRENTLY {table}", "CHECKPOINT",
            "VACUUM (FREEZE)" if not self._gentle else "VACUUM", "VACUUM FULL pg_attribute",
            f"DELETE FROM {table} WHERE i > 150;;VACUUM {table}",
        ])  # fmt: skip

    def shape(self) -> str:
        """A change of the schema, or a rewrite."""
        table, column = self._kind().name, f"extra{self._rng.randrange(1, 4)}"
        ways: list[tuple[int, Callable[[], str]]] = [
            (4, lambda: f"ALTER TABLE {table} ADD COLUMN {column} {self._rng.choice(_ADDED)}"),
            (2, lambda: f"ALTER TABLE {table} DROP COLUMN IF EXISTS {column}"),
            (1, lambda: f"ALTER TABLE {table} DROP COLUMN IF EXISTS {column};;"
                        f"ALTER TABLE {table} ADD COLUMN {column} {self._rng.choice(_ADDED)}"),
            (3, lambda: f"ALTER TABLE {table} {self._rng.choice(_RETYPED)}"),
            (2, lambda: self._rng.choice(_TYPES)), (2, lambda: self._rng.choice(_PARTITIONS)),
            (1, lambda: f"ALTER TABLE {table} SET {self._rng.choice(['UNLOGGED', 'LOGGED'])}"),
            (1, lambda: f"ALTER TABLE {table} ALTER v SET STORAGE "
                        + self._rng.choice(["external", "main", "plain", "extended"])),
            (1, lambda: f"TRUNCATE {table}"), (1, lambda: self._refilled(table)),
            (1, lambda: self._rng.choice(["REFRESH MATERIALIZED VIEW t_view",
                                          "REFRESH MATERIALIZED VIEW t_view WITH NO DATA"])),
            (1, lambda: "SELECT setval('t_gen_id_seq', 20000), nextval('t_gen_id_seq')"),
            (1, self._new_table),
        ]  # fmt: skip
        if not self._gentle:
            ways += [
                (2, self._renamed), (1, lambda: f"ALTER TABLE {table} DROP COLUMN w"),
                (1, lambda: f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_pkey"),
                (1, lambda: f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS w int DEFAULT 5"),
                (1, lambda: self._remade(table)), (1, self._expression),
            ]  # fmt: skip
            if self._major >= 15:
                ways.append(
                    (
                        1,
                        lambda: self._rng.choice(
                            [
                                _SPACE.format(t=table),
                                f"ALTER TABLE {table} SET TABLESPACE pg_default",
                                f"ALTER TABLE {table} SET TABLESPACE other",
                            ]
                        ),
                    )
                )
        return self._pick(ways)

    def twins(self) -> tuple[str, str]:
        """For two branches: the same change of one table, or nearly so."""
        table = self._kind().name
        column = f"extra{self._rng.randrange(1, 4)}"
        one, two = self._rng.choices(_ADDED, k=2)
        more = _SPACE.format(t=table) if self._major >= 15 else f"VACUUM FULL {table}"
        added = f"ALTER TABLE {table} ADD COLUMN {column}"
        again = f"ALTER TABLE {table} DROP COLUMN w;;ALTER TABLE {table} ADD COLUMN w"
        low, high = self._rows()

        def retyped() -> str:
            return f"ALTER TABLE {table} {self._rng.choice(_RETYPED)}"

        swapped = (f"ALTER TABLE {table} RENAME i TO ii;;ALTER TABLE {table} RENAME w TO i;;"
                   f"ALTER TABLE {table} RENAME ii TO w")  # fmt: skip
        forms = [
            (swapped, "SELECT 1"), ("SELECT 1", swapped),
            *[(f"{added} int DEFAULT 1", f"{added} int DEFAULT 2")] * 3,
            (f"{added} {one}", f"{added} {two}"), (f"{again} {one}", f"{again} {two}"),
            (f"{added} int", f"{again} int;;{added} int"), (f"VACUUM FULL {table}",) * 2,
            (f"VACUUM FULL {table}", f"DELETE FROM {table} WHERE i % 3 = 1;;VACUUM FULL {table}"),
            (more, more), (retyped(), retyped()),
            (self._refilled(table), self._refilled(table)),
            (f"DELETE FROM {table} WHERE i > {low};;VACUUM {table}",
             f"DELETE FROM {table} WHERE i > {high};;VACUUM {table}"),
            (self._rng.choice(_TYPES), self._rng.choice(_TYPES)),
            ("ALTER TABLE t_int RENAME TO aside;;ALTER TABLE t_none RENAME TO t_int", "SELECT 1"),
        ]  # fmt: skip
        return self._rng.choice(forms)

    def _refilled(self, table: str) -> str:
        (kind,) = (item for item in KINDS if item.name == table)
        return f"TRUNCATE {table};;{kind.insert(1, self._rng.choice([50, 500]), salt=self._salt)}"

    def _remade(self, table: str) -> str:
        (kind,) = (item for item in KINDS if item.name == table)
        rows = kind.insert(1, self._rng.choice([40, 400]), salt=self._rng.choice([0, self._salt]))
        return ";;".join([f"DROP TABLE {table} CASCADE", *kind.create(), rows])

    def _new_table(self) -> str:
        name = f"new_{self._rng.randrange(3)}"
        rows = f"SELECT g AS i, g + {self._salt} AS w FROM generate_series(1, 50) g"
        return self._rng.choice([
            f"CREATE TABLE {name} AS {rows}", f"DROP TABLE IF EXISTS {name}",
            f"CREATE TABLE {name} (i int PRIMARY KEY, w int);;INSERT INTO {name} {rows}",
            f"DROP TABLE IF EXISTS {name};;CREATE TABLE {name} AS {rows}",
        ])  # fmt: skip

    def _renamed(self) -> str:
        one, two = self._rng.sample([kind.name for kind in self._kinds], 2)
        swap = (f"ALTER TABLE {one} RENAME TO aside;;ALTER TABLE {two} RENAME TO {one};;"
                f"ALTER TABLE aside RENAME TO {two}")  # fmt: skip
        return self._rng.choice([
            swap, swap, f"ALTER TABLE {one} RENAME TO renamed",
            f"ALTER TABLE renamed RENAME TO {one}", f"ALTER TABLE {one} RENAME v TO vv",
            f"ALTER TABLE {one} RENAME vv TO v",
            f"ALTER TABLE {one} RENAME i TO ii;;ALTER TABLE {one} RENAME w TO i;;"
            f"ALTER TABLE {one} RENAME ii TO w",
        ])  # fmt: skip

    def _expression(self) -> str:
        ways = ["ALTER TABLE t_gen ALTER b DROP EXPRESSION IF EXISTS"]
        if self._major >= 17:
            ways.append("ALTER TABLE t_gen ALTER b SET EXPRESSION AS (a * 3)")
        if self._major >= 18:
            ways.append("ALTER TABLE t_virtual ALTER b SET EXPRESSION AS (a * 3)")
        return self._rng.choice(ways)
