"""What the agent remembers, in SQLite with full sync, outside every pool.

The store says what was meant; the disk says what is (recover.py compares). One connection,
one lock: a transaction covers the reads that a write depends on. Records are JSON documents with
the columns beside them that must be unique or are looked up by.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from cowdb.errors import ConflictError, StoreError
from cowdb.model import BranchRecord, PoolRecord, SnapshotRecord, SourceRecord

# One entry for each version of the schema, in order; never edited once released.
MIGRATIONS: tuple[str, ...] = (
    """
    create table pools (id text primary key, doc text not null);
    create table sources (id text primary key, doc text not null);
    create table snapshots (
        id text primary key, parent text not null, name text not null, doc text not null,
        unique (parent, name));
    create table branches (
        id text primary key, snapshot text not null references snapshots (id), doc text not null);
    create index branches_of_snapshot on branches (snapshot);
    -- Sources and branches share one namespace, so that a bare name means one thing.
    create table names (name text primary key, kind text not null, owner text not null);
    create table ports (port integer primary key, owner text not null);
    create table operations (
        id text primary key, kind text not null, target text not null, subject text not null,
        caller text not null, state text not null, plan text not null,
        started_at text not null, finished_at text, error text);
    create index operations_open on operations (state) where state in ('running', 'committed');
    """,
    """
    -- Numbers of rows in a frozen volume, by who counted them. A cache: goes with the snapshot.
    create table counts (
        volume text not null, uid integer not null, relation text not null, rows integer not null,
        snapshot text not null references snapshots (id) on delete cascade,
        primary key (volume, uid, relation)) without rowid;
    create index counts_of_snapshot on counts (snapshot);
    """,
    """
    -- What the agent asks every second, or for each branch, is not to grow with all there is.
    drop index operations_open;
    create index operations_open on operations (state)
        where state in ('running', 'committed', 'failed');
    create index branches_of_owner on branches
        (json_extract(doc, '$.owner_uid'), json_extract(doc, '$.hidden'));
    create index branches_expiring on branches (id)
        where json_extract(doc, '$.expires_at') is not null;
    """,
    """
    -- Branches that are nobody's yet: without a name, and so in no list of branches.
    create table spares (
        id text primary key, snapshot text not null references snapshots (id), doc text not null);
    create index spares_of_snapshot on spares (snapshot);
    """,
    """
    -- Snapshots whose branch is no more, by what that came from.
    create index snapshots_cloned_from on snapshots (json_extract(doc, '$.cloned_from'))
        where json_extract(doc, '$.cloned_from') is not null;
    """,
)

EXPIRING = "json_extract(doc, '$.expires_at') is not null"
"""The condition for branches with a time to live, as the index has it."""

CLONED_FROM = "json_extract(doc, '$.cloned_from') = ?"
"""The condition for snapshots whose origin comes from another one, as the index has it."""
NAMED = "substr(name, 1, 1) <> '_'"
"""The condition for snapshots that a user has named."""

_CACHE_KIB = 32 * 1024  # a thousand branches are 5 MB; with the default of 2 they are read again
COUNTS_KEPT = 200_000  # numbers of one user for one volume

Record = TypeVar("Record", PoolRecord, SourceRecord, SnapshotRecord, BranchRecord)


class Table(Generic[Record]):
    """One kind of record; used inside a transaction only."""

    def __init__(
        self, db: sqlite3.Connection, table: str, kind: type[Record], extra: tuple[str, ...] = ()
    ) -> None:
        self._db, self._table, self._extra = db, table, extra
        self._decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(kind)

    def get(self, record_id: str) -> Record | None:
        return self._one("id = ?", record_id)

    def all(self, where: str = "1", *values: str) -> list[Record]:
        """:param where: a condition written in this program, its values apart."""
        query = f"select doc from {self._table} where {where} order by rowid"
        return [self._decoder.decode(doc) for (doc,) in self._db.execute(query, values)]

    def count(self, where: str = "1", *values: str | int) -> int:
        """How many there are, without reading them."""
        query = f"select count(*) from {self._table} where {where}"
        (found,) = self._db.execute(query, values).fetchone()
        return int(found)

    def put(self, record: Record) -> None:
        """Insert or replace; raises ConflictError when a unique name is taken."""
        columns = ("id", *self._extra, "doc")
        values: list[str] = [getattr(record, name) for name in columns[:-1]]
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns[1:])
        try:
            self._db.execute(
                f"insert into {self._table} ({', '.join(columns)}) "
                f"values ({', '.join('?' for _ in columns)}) "
                f"on conflict (id) do update set {changes}",
                (*values, msgspec.json.encode(record).decode()),
            )
        except sqlite3.IntegrityError as error:
            raise ConflictError(f"{self._table}: {values[-1]!r} exists already") from error

    def delete(self, record_id: str) -> None:
        self._db.execute(f"delete from {self._table} where id = ?", (record_id,))

    def _one(self, where: str, *values: str) -> Record | None:
        found = self.all(where, *values)
        return found[0] if found else None


class Counts:
    """Numbers of rows in the frozen volumes of snapshots, by relation file; used inside a
    transaction only.

    Clients count, and the agent cannot check them: each user is told their own and root's."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def known(self, volume: str, uid: int) -> dict[str, int]:
        """Root's count where there are two."""
        query = "select relation, rows from counts where volume = ? and uid in (0, ?)"
        return dict(self._db.execute(f"{query} order by uid desc", (volume, uid)))

    def keep(self, snapshot: str, volume: str, uid: int, rows: Mapping[str, int]) -> None:
        """Up to COUNTS_KEPT for one user and volume; to keep more, the old ones are forgotten."""
        query = "select count(*) from counts where volume = ? and uid = ?"
        ((there,),) = self._db.execute(query, (volume, uid))
        if there + len(rows) > COUNTS_KEPT:
            self._db.execute("delete from counts where volume = ? and uid = ?", (volume, uid))
        self._db.executemany(
            "insert or replace into counts (volume, uid, relation, rows, snapshot) "
            "values (?, ?, ?, ?, ?)",
            [(volume, uid, relation, number, snapshot) for relation, number in rows.items()],
        )


class Transaction:
    """Reads and writes that become durable together, or not at all."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.pools = Table(db, "pools", PoolRecord)
        self.sources = Table(db, "sources", SourceRecord)
        self.snapshots = Table(db, "snapshots", SnapshotRecord, ("parent", "name"))
        self.branches = Table(db, "branches", BranchRecord, ("snapshot",))
        self.spares = Table(db, "spares", BranchRecord, ("snapshot",))
        self.counts = Counts(db)

    def claim_name(self, name: str, kind: str, owner: str) -> None:
        """Take a name; raises ConflictError when a source or branch has it."""
        taken = self.db.execute("select kind from names where name = ?", (name,)).fetchone()
        if taken:
            raise ConflictError(
                f"there is already a {taken[0]} named {name!r}",
                hint=f"choose another name, or: cowdb {taken[0]} rm {name}",
            )
        self.db.execute("insert into names values (?, ?, ?)", (name, kind, owner))

    def owner_of_name(self, name: str) -> tuple[str, str] | None:
        """(kind, id) of what has this name."""
        row = self.db.execute("select kind, owner from names where name = ?", (name,)).fetchone()
        return (row[0], row[1]) if row else None

    def branch_names(self, snapshot: str) -> list[str]:
        """Of the branches that come from a snapshot, hidden ones left out; none is decoded."""
        rows = self.db.execute(
            "select json_extract(doc, '$.name') from branches "
            "where snapshot = ? and not json_extract(doc, '$.hidden') order by rowid",
            (snapshot,),
        )
        return [name for (name,) in rows]

    def ports(self) -> dict[int, str]:
        return dict(self.db.execute("select port, owner from ports"))

    def claim_port(self, port: int, owner: str) -> None:
        try:
            self.db.execute("insert into ports values (?, ?)", (port, owner))
        except sqlite3.IntegrityError as error:
            raise ConflictError(f"port {port} belongs to another server of cowdb") from error

    def release(self, owner: str) -> None:
        """Give back the names and ports of a record that goes."""
        self.db.execute("delete from names where owner = ?", (owner,))
        self.db.execute("delete from ports where owner = ?", (owner,))


class Store:
    """:raises StoreError: the file is of a newer cowdb, or is no store."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            path.chmod(0o600)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            self._db.execute("pragma foreign_keys = on")
            self._db.execute(f"pragma cache_size = -{_CACHE_KIB}")
            self._migrate(path)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"the store {path} cannot be read: {error}",
                hint="restore it from a backup, or move it away and run: cowdb doctor --rebuild",
            ) from error
        self._transaction = Transaction(self._db)

    def _migrate(self, path: Path) -> None:
        (version,) = self._db.execute("pragma user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreError(
                f"the store {path} is of a newer cowdb (schema {version}, this one knows "
                f"{len(MIGRATIONS)})",
                hint="install that version again",
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._db.executescript(f"begin; {script}; pragma user_version = {number}; commit;")

    @contextlib.contextmanager
    def transaction(self, *, lazy: bool = False) -> Iterator[Transaction]:
        """Exclusive among all threads; committed (and synced) at the end, undone on an error.

        :param lazy: not synced by itself but with the next one that is: after a power cut it may
            not have happened, and then nothing after it has either. For what recovery would do
            again.
        """
        with self._lock:
            if self._db.in_transaction:  # nested: part of the outer one
                yield self._transaction
                return
            with self._synced(lazy=lazy):
                self._db.execute("begin immediate")
                try:
                    yield self._transaction
                except BaseException:
                    self._db.execute("rollback")
                    raise
                self._db.execute("commit")

    @contextlib.contextmanager
    def _synced(self, *, lazy: bool) -> Iterator[None]:
        """In WAL mode "normal" keeps the order of commits and only leaves out the sync of each."""
        if not lazy:
            yield
            return
        self._db.execute("pragma synchronous = normal")
        try:
            yield
        finally:
            self._db.execute("pragma synchronous = full")

    def close(self) -> None:
        with self._lock:
            self._db.close()
