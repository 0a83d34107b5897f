"""The JSON Schema of a lab file, for editors that complete and check as one types."""

from __future__ import annotations

from typing import Any

import msgspec

from cowdb.controller.lab.spec.model import Lab


def json_schema() -> dict[str, Any]:
    """Draft 2020-12, with every key's meaning."""
    (reference,), components = msgspec.json.schema_components([Lab], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cowdb lab",
        **reference,
        "$defs": components,
    }
