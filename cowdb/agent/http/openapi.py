"""The OpenAPI 3.1 document, made of the very table that requests are dispatched by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from cowdb import __version__
from cowdb.agent.routes import Route

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint"],
            "properties": {name: {"type": "string"} for name in ("code", "message", "hint")},
        }
    },
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    types = [route.response for route in routes if route.response is not None]
    types += [route.request for route in routes if route.request is not None]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    by_type = dict(zip(map(str, types), schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(f"/v1{route.path}", {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cowdb agent",
            "version": __version__,
            "description": "HTTP/JSON on a Unix socket; the caller is who the socket says it is. "
            "With `Accept: application/x-ndjson` an operation reports its progress: one JSON "
            'object a line, {"event": "progress"}s and at last a "result" or an "error".',
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": {**components, "Error": _ERROR}},
    }


def _operation(route: Route, by_type: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "done"}
    if route.response is not None:
        answer["content"] = {"application/json": {"schema": by_type[str(route.response)]}}
    failed = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    operation: dict[str, Any] = {
        "operationId": _id(route),
        "summary": route.summary,
        "responses": {"200": answer, "default": {"description": "error", "content": failed}},
    }
    if names := re.findall(r"\{(\w+)\}", route.path):
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    switches = dict(route.switches)
    if route.planned:
        switches["dry_run"] = "answer with the plan, and do nothing"
    for name, what in switches.items():
        operation.setdefault("parameters", []).append(
            {
                "name": name,
                "in": "query",
                "description": f"1: {what}",
                "schema": {"enum": ["1"]},
            }
        )
    for name, what in route.numbers.items():
        schema = {"type": "integer", "minimum": 0}
        operation.setdefault("parameters", []).append(
            {"name": name, "in": "query", "description": what, "schema": schema}
        )
    if route.request is not None:
        body = {"application/json": {"schema": by_type[str(route.request)]}}
        operation["requestBody"] = {"content": body}
    return operation


def _id(route: Route) -> str:
    words = [word for word in re.split(r"[/{}.]+", route.path) if word]
    return "_".join([route.method.lower(), *words])
