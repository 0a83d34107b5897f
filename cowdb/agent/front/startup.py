"""What a Postgres client says before it logs in, and how it is refused (protocol 3). Pure.

A packet is its length, four bytes of code, then its content; only after the first one that is
neither a question about encryption nor a cancel request does a client want a session.
"""

from __future__ import annotations

import struct
from typing import Literal

LONGEST = 10_000  # bytes; the server's own limit for a startup packet
_HEAD = struct.Struct("!II")
_CANCEL, _SSL, _GSS = 80877102, 80877103, 80877104
_SHORTEST_CANCEL = 16

Said = Literal["more", "encrypt", "cancel", "session", "nonsense"]

REFUSE_ENCRYPTION = b"N"  # servers of cowdb's own run with ssl off, and would say the same

CANNOT_CONNECT_NOW = "57P03"
TOO_MANY_CONNECTIONS = "53300"


def read(said: bytes | bytearray) -> tuple[Said, int]:
    """What the first packet asks for, and its length; "more" when it is not complete yet."""
    if len(said) < _HEAD.size:
        return "more", 0
    length, code = _HEAD.unpack_from(said)
    if code in (_SSL, _GSS):
        return ("encrypt", length) if length == _HEAD.size else ("nonsense", 0)
    if code == _CANCEL:
        kind: Said = "cancel" if length >= _SHORTEST_CANCEL else "nonsense"
    else:
        kind = "session" if code >> 16 == 3 and length > _HEAD.size else "nonsense"
    if kind == "nonsense" or length > LONGEST:
        return "nonsense", 0
    return (kind, length) if len(said) >= length else ("more", 0)


def refusal(sqlstate: str, message: str, hint: str = "") -> bytes:
    """An ErrorResponse that ends the connection."""
    fields = [("S", "FATAL"), ("V", "FATAL"), ("C", sqlstate), ("M", message)]
    if hint:
        fields.append(("H", hint))
    body = b"".join(
        name.encode() + text.replace("\0", " ").encode(errors="replace") + b"\0"
        for name, text in fields
    )
    return b"E" + struct.pack("!I", len(body) + 5) + body + b"\0"
