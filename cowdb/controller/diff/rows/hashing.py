"""How the two servers hash a row's text, so that equal texts give equal numbers on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

# Longer than one round of the hash, with all kinds of bytes.
_PROBE = b'SELECT hashtextextended(repeat(\'cowdb 0,"\\\', 9) COLLATE "C", 1)'


@dataclass(frozen=True)
class Hashing:
    """:param native: hashtextextended gives the same on both (as it does unless their processors
    order bytes differently), which takes a tenth of md5's time.
    :param same_encoding: of the two databases; else what is hashed is turned into UTF-8."""

    native: bool
    same_encoding: bool

    def of(self, text: sql.Composable, seed: int) -> sql.Composed:
        """64 bits, as a bigint."""
        if not self.same_encoding:
            text = sql.SQL("encode(convert_to({}, 'UTF8'), 'hex')").format(text)
        if self.native:
            return sql.SQL('hashtextextended({} COLLATE "C", {})').format(text, sql.Literal(seed))
        return sql.SQL("('x' || left(md5({} || {}), 16))::bit(64)::bigint").format(
            sql.Literal(f"{seed} "), text
        )


def probe(conn: psycopg.Connection[Any]) -> tuple[object, ...]:
    """What two servers must agree on."""
    ((number,),) = conn.execute(_PROBE).fetchall()
    return number, conn.info.parameter_status("server_encoding")


def agreed(probes: Sequence[tuple[object, ...]]) -> Hashing:
    one, two = probes
    return Hashing(native=one[0] == two[0], same_encoding=one[1] == two[1])
