"""Passwords of servers: derived when needed, stored nowhere.

The host has one random key (0600, root). A server's password is HMAC-SHA256(key, server id);
the server itself holds only the SCRAM verifier. Whoever can read the key is root already.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

KEY_BYTES = 32
KEY_FILE = "secret.key"  # in the state directory
_ITERATIONS = 4096  # the server's own default; the password has 160 bits, so it need not be more


class Keyring:
    def __init__(self, path: Path) -> None:
        self._key = _load(path)

    def password(self, server_id: str) -> str:
        """32 characters of [a-z2-7] that need no escaping in a URL."""
        digest = hmac.digest(self._key, f"server:{server_id}".encode(), "sha256")
        return base64.b32encode(digest[:20]).decode().lower()


def _load(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        fresh = path.with_suffix(".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
        return path.read_bytes()


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """What pg_authid holds for a password (RFC 5802, RFC 7677), so that the password itself
    never travels to a server whose log may keep statements."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(item).decode() for item in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
