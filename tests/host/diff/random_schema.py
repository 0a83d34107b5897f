"""Random schemas from a small pool of names, so that two of them share much and differ in much."""

from __future__ import annotations

from random import Random

TYPES = ("int", "bigint", "text", "varchar(9)", "numeric(6, 2)", "date", "e1", "d1", "int[]")
DEFAULTS = {
    "int": "7", "bigint": "f1(3)", "text": "'x'", "varchar(9)": "'y'", "numeric(6, 2)": "1.5",
    "date": "'2020-02-02'", "e1": "'a'", "d1": "4", "int[]": "'{1}'",
}  # fmt: skip
LABELS = ("a", "b", "c", "d")


def random_schema(random: Random) -> list[str]:
    """Statements that make it in the schema that is first in search_path."""
    return _Maker(random).run()


class _Maker:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.out: list[str] = []
        self.columns: dict[str, dict[str, str]] = {}

    def some(self, chance: float) -> bool:
        return self.random.random() < chance

    def run(self) -> list[str]:
        self._types()
        self._functions()
        for name in ("t1", "t2", "t3", "t4"):
            if self.some(0.8):
                self._table(name)
        if self.some(0.6):
            self._partitioned()
        self._foreign_keys()
        if self.some(0.5) and "t1" in self.columns:
            self._heir()
        for name in sorted(self.columns):
            self._hang_on(name)
        self._views()
        return self.out

    def _types(self) -> None:
        labels = [label for label in LABELS if label == "a" or self.some(0.7)]
        if self.some(0.3):
            self.random.shuffle(labels)
        listed = ", ".join(f"'{label}'" for label in labels)
        self.out.append(f"CREATE TYPE e1 AS ENUM ({listed})")
        base = self.random.choice(("int", "bigint"))
        self.out.append(f"CREATE DOMAIN d1 AS {base} CHECK (VALUE > {self.random.randint(0, 2)})")
        if self.some(0.5):
            inside = ", ".join(f"{name} int" for name in "xyz" if self.some(0.6))
            self.out.append(f"CREATE TYPE c1 AS ({inside})")
        if self.some(0.5):
            self.out.append(f"CREATE SEQUENCE s1 INCREMENT {self.random.randint(1, 3)}")

    def _functions(self) -> None:
        result = self.random.choice(("int", "bigint"))
        body = self.random.choice(("SELECT 1", "SELECT 2"))
        self.out.append(
            f"CREATE FUNCTION f1(int) RETURNS {result} IMMUTABLE LANGUAGE sql AS '{body}'"
        )
        self.out.append(
            "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
        )
        if self.some(0.5):
            self.out.append("CREATE FUNCTION f2(e1) RETURNS e1 LANGUAGE sql AS 'SELECT $1'")

    def _table(self, name: str) -> None:
        columns = {
            column: self.random.choice(TYPES)
            for column in ("a", "b", "c", "d", "e")
            if self.some(0.7)
        }
        if self.some(0.3):
            names = list(columns)
            self.random.shuffle(names)
            columns = {column: columns[column] for column in names}
        parts = []
        for column, kind in columns.items():
            part = f"{column} {kind}"
            if self.some(0.3):
                part += f" DEFAULT {DEFAULTS[kind]}"
            parts.append(part + (" NOT NULL" if self.some(0.2) else ""))
        columns["id"] = self.random.choice(("int", "bigint"))
        how = self.random.choice(("", "", " GENERATED ALWAYS AS IDENTITY"))
        parts.insert(0, f"id {columns['id']}{how} PRIMARY KEY")
        if self.some(0.3):
            parts.append("g int GENERATED ALWAYS AS ((id + 1)::int) STORED")
        if self.some(0.2):
            parts.append("n serial")
        self.out.append(f"CREATE TABLE {name} ({', '.join(parts)})")
        self.columns[name] = columns

    def _partitioned(self) -> None:
        kind = self.random.choice(("int", "bigint"))
        more = ", z text" if self.some(0.5) else ""
        key = ", PRIMARY KEY (k)" if self.some(0.5) else ""
        self.out.append(f"CREATE TABLE p (k {kind}{more}{key}) PARTITION BY RANGE (k)")
        for place in range(3):
            if self.some(0.6):
                self.out.append(
                    f"CREATE TABLE p{place} PARTITION OF p"
                    f" FOR VALUES FROM ({place * 10}) TO ({place * 10 + 10})"
                )
        if more and self.some(0.5):
            self.out.append("CREATE INDEX pz ON p (z)")

    def _heir(self) -> None:
        self.out.append("CREATE TABLE h (own text) INHERITS (t1)")

    def _hang_on(self, table: str) -> None:
        columns = self.columns[table]
        for column in sorted(columns):
            if self.some(0.15):
                self.out.append(f"CREATE INDEX {table}_{column} ON {table} ({column})")
            if self.some(0.1):
                self.out.append(f"COMMENT ON COLUMN {table}.{column} IS '{self.random.random()}'")
            if self.some(0.1):
                self.out.append(f"GRANT SELECT ({column}) ON {table} TO reader")
        if self.some(0.3):
            self.out.append(f"ALTER TABLE {table} ADD CONSTRAINT {table}_k CHECK (id > 0)")
        if self.some(0.2):
            self.out.append(f"CREATE INDEX {table}_f ON {table} (f1(id::int)) WHERE id > 3")
        if self.some(0.3):
            state = "DISABLE" if self.some(0.3) else "ENABLE"
            self.out.append(
                f"CREATE TRIGGER tr BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION touch()"
            )
            self.out.append(f"ALTER TABLE {table} {state} TRIGGER tr")
        if self.some(0.2):
            self.out.append(
                f"CREATE POLICY pol ON {table} USING (id > {self.random.randint(0, 2)})"
            )
        if self.some(0.2):
            self.out.append(f"GRANT SELECT, INSERT ON {table} TO reader")
        if self.some(0.1):
            self.out.append(f"ALTER TABLE {table} OWNER TO writer")
        if self.some(0.2):
            self.out.append(f"ALTER TABLE {table} SET (fillfactor = {self.random.randint(50, 90)})")

    def _foreign_keys(self) -> None:
        names = sorted(self.columns)
        for one in names:
            for two in names:
                if self.some(0.15):
                    kind = self.columns[two]["id"]
                    self.out.append(f"ALTER TABLE {one} ADD COLUMN r_{two} {kind} REFERENCES {two}")

    def _views(self) -> None:
        for place, table in enumerate(sorted(self.columns)):
            if self.some(0.5):
                columns = ", ".join(sorted(self.columns[table]))
                self.out.append(f"CREATE VIEW v{place} AS SELECT {columns} FROM {table}")
                if self.some(0.5):
                    self.out.append(f"CREATE VIEW w{place} AS SELECT id, f1(1) AS f FROM v{place}")
                if self.some(0.3):
                    self.out.append(f"CREATE MATERIALIZED VIEW m{place} AS SELECT id FROM v{place}")
                    self.out.append(f"CREATE INDEX m{place}_i ON m{place} (id)")
