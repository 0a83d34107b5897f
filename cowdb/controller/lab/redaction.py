"""What no report may show: literals of statements that may hold a password, and passwords in URLs.
Pure.

Rather too much is cut than too little: where one of the words below stands, every literal goes, a
whole function body with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cowdb.controller.diff.session import redacted
from cowdb.controller.lab.steps.lexer import tokens

HIDDEN = "***"
_MAY_HOLD = re.compile(
    r"password|passwd|passphrase|user\s+mapping|subscription|dblink|connection|conninfo|secret"
    r"|credential|api_?key|token|encrypt|crypt\s*\(",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"(?P<key>\b\w*(?:password|passwd|secret|token|api_?key)\w*\s*[=:]\s*)"
    r"(?P<value>'[^']*'|\"[^\"]*\"|\S+)",
    re.IGNORECASE,
)
_QUOTES = re.compile(r"^(?:[eE]?'|\$\w*\$)|(?:'|\$\w*\$)$")
_SHORTEST = 3  # a shorter secret would be cut out of the middle of words


def sensitive(statement: str) -> bool:
    return _MAY_HOLD.search(statement) is not None


def shown(statement: str) -> str:
    """A statement as a report may have it."""
    if sensitive(statement):
        statement = "".join(
            f"'{HIDDEN}'" if part.kind == "literal" else part.text for part in tokens(statement)
        )
    return redacted(statement)


def secrets_in(statements: Iterable[str]) -> set[str]:
    """The literals that `shown` cuts, which programs may repeat in what they print."""
    found = set()
    for statement in statements:
        if sensitive(statement):
            literals = (part.text for part in tokens(statement) if part.kind == "literal")
            found |= {_QUOTES.sub("", text) for text in literals}
    return {text for text in found if len(text) >= _SHORTEST}


def cleaned(text: str, secrets: Iterable[str]) -> str:
    """Output, an error or a command without secrets."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return redacted(_ASSIGNED.sub(rf"\g<key>{HIDDEN}", text))
