"""Render the HTTP reference as Markdown, from the OpenAPI description of the server."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from corvo_server.app import RESOURCES
from corvo_server.http.openapi import describe

_TITLES = {
    "jobs": "Jobs",
    "search": "Search",
    "attempts": "Fetch, ack, fail, release, heartbeat",
    "batches": "Batches",
    "bulk": "Bulk operations",
    "queues": "Queues",
    "schedules": "Schedules",
    "events": "Events",
    "metrics": "Metrics",
    "audit": "Audit log",
    "admin": "Administration",
    "health": "Health",
    "docs": "API description",
}

Schema = dict[str, Any]


def endpoint_table() -> Iterator[str]:
    """Yield a table of all endpoints, each with a link to its section in `http_reference`."""
    yield "| request | what it does |"
    yield "|---|---|"
    for path, methods in describe(RESOURCES)["paths"].items():
        for method, operation in methods.items():
            title = f"{method.upper()} {path}"
            yield f"| [`{title}`](#{_anchor(title)}) | {_cell(operation['summary'])} |"


def http_reference() -> Iterator[str]:
    """Yield the lines on every endpoint (parameters, body, replies), then on every object."""
    described = describe(RESOURCES)
    by_tag: dict[str, list[tuple[str, str, Schema]]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    for tag, operations in by_tag.items():
        yield f"## {_TITLES.get(tag, tag.capitalize())}"
        yield ""
        for method, path, operation in operations:
            yield from _endpoint(method, path, operation)
    yield "## Objects"
    yield ""
    yield "Fields without a default are required in requests."
    yield ""
    for name, schema in sorted(described["components"]["schemas"].items()):
        yield from _object(name, schema)


def _endpoint(method: str, path: str, operation: Schema) -> Iterator[str]:
    yield f"### {method} {path}"
    yield ""
    yield operation["summary"]
    yield ""
    parameters = operation.get("parameters", ())
    if parameters:
        yield "| parameter | in | type | meaning |"
        yield "|---|---|---|---|"
        for found in parameters:
            star = "" if not found["required"] or found["in"] == "path" else " (required)"
            about = _cell(found.get("description", "")) + star
            yield f"| `{found['name']}` | {found['in']} | {_type(found['schema'])} | {about} |"
        yield ""
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        optional = "" if operation["requestBody"]["required"] else " (optional)"
        yield f"Body: {_type(schema)}{optional}."
        yield ""
    refused: dict[str, str] = {}
    for status, reply in operation["responses"].items():
        if int(status) < 400:
            yield f"Reply {status}: {_reply(reply)}."
            yield ""
        else:
            refused[status] = ", ".join(f"`{code}`" for code in reply["description"].split(", "))
    yield "Errors: " + "; ".join(f"{status} {codes}" for status, codes in refused.items()) + "."
    yield ""


def _reply(reply: Schema) -> str:
    """Return the types of a reply's body as text."""
    kinds = [
        ("a stream of " if media_type == "text/event-stream" else "") + _type(content["schema"])
        for media_type, content in reply.get("content", {}).items()
    ]
    return ", ".join(kinds) or "no body"


def _object(name: str, schema: Schema) -> Iterator[str]:
    yield f"### {name} object"
    yield ""
    if "description" in schema:
        yield schema["description"]
        yield ""
    if "properties" not in schema:
        yield f"{_type(schema)}."
        yield ""
        return
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    required = schema.get("required", ())
    for field, about in schema["properties"].items():
        default = "" if field in required or "default" not in about else _json(about["default"])
        yield f"| `{field}` | {_type(about)} | {default} | {_cell(about.get('description', ''))} |"
    yield ""


def _type(schema: Schema) -> str:  # noqa: PLR0911 - a table of cases
    """Return a schema in a few words, with links to the objects in it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name + ' object')})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_unique(_type(one) for one in schema[several]))
    if "contentSchema" in schema.get("properties", {}).get("data", {}):
        return _type(schema["properties"]["data"]["contentSchema"])
    if "enum" in schema:
        return ", ".join(_json(value) for value in schema["enum"])
    if "const" in schema:
        return _json(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    formats = {"corvo-duration": "duration", "date-time": "timestamp"}
    return formats.get(schema.get("format", ""), str(schema.get("type", "any JSON")))


def _anchor(heading: str) -> str:
    """Return the fragment that GitHub, and the builder of the site, make from a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _json(value: Any) -> str:
    return f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
