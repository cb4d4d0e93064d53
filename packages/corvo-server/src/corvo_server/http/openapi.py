"""The OpenAPI description of the server, made from its table of endpoints."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from corvo_schema.errors import ErrorCode, ErrorReply
from corvo_server.__about__ import __version__
from corvo_server.http.endpoint import Endpoint, Resource

_REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"<(\w+):\w+>")
_OF_EVERY_BODY = (
    ErrorCode.PARSE_ERROR,
    ErrorCode.VALIDATION_ERROR,
    ErrorCode.PAYLOAD_TOO_LARGE,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE,
)
_OF_EVERY_CALL = (ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL_ERROR)


def describe(resources: Iterable[Resource]) -> dict[str, Any]:
    """The OpenAPI 3.1 description of all endpoints of `resources`."""
    described = [
        (resource_.name, endpoint) for resource_ in resources for endpoint in resource_.endpoints
    ]
    references, schemas = _schemas(endpoint for _, endpoint in described)
    paths: dict[str, dict[str, Any]] = {}
    for tag, endpoint in described:
        path = _PARAMETER.sub(r"{\1}", endpoint.path)
        operation = _operation(tag, endpoint, references)
        paths.setdefault(path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Corvo",
            "version": __version__,
            "description": "Background jobs over plain HTTP/JSON.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(tag: str, endpoint: Endpoint, references: dict[Any, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): _response(_meaning(status), references.get(_key(model, "serialization")))
        for status, model in endpoint.replies.items()
    }
    errors = [*endpoint.errors, *_OF_EVERY_CALL]
    if endpoint.request is not None:
        errors += _OF_EVERY_BODY
    for status in sorted({code.http_status for code in errors}):
        codes = sorted({code for code in errors if code.http_status == status})
        reference = references[_key(ErrorReply, "serialization")]
        responses[str(status)] = _response(", ".join(codes), reference)
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__name__,
        "tags": [tag],
        "summary": endpoint.summary,
        "responses": responses,
    }
    names = _PARAMETER.findall(endpoint.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if endpoint.request is not None:
        schema = references[_key(endpoint.request, "validation")]
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return operation


def _schemas(endpoints: Iterable[Endpoint]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """A reference for each (model, mode) that the endpoints use, and the schemas referred to."""
    wanted: dict[Any, Any] = {_key(ErrorReply, "serialization"): ErrorReply}
    for endpoint in endpoints:
        if endpoint.request is not None:
            wanted[_key(endpoint.request, "validation")] = endpoint.request
        for model in endpoint.replies.values():
            if model is not None:
                wanted[_key(model, "serialization")] = model
    adapters = [(key, key[1], TypeAdapter(model)) for key, model in wanted.items()]
    by_key, definitions = TypeAdapter.json_schemas(
        adapters, ref_template=_REF, schema_generator=_WireSchema
    )
    references = {key[0]: schema for key, schema in by_key.items()}
    return references, definitions.get("$defs", {})


class _WireSchema(GenerateJsonSchema):
    """Shows defaults as they are written on the wire: `5s`, not the 5000 ms of our own."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        default = super().get_default_value(schema)
        if "default" not in schema or default is None:
            return default
        inner: Any = schema
        while "serialization" not in inner and "schema" in inner:  # within validators
            inner = inner["schema"]
        serialization = inner.get("serialization", {})
        is_written_otherwise = serialization.get("type") == "function-plain"
        return serialization["function"](default) if is_written_otherwise else default


def _key(model: Any, mode: str) -> tuple[str, str]:
    return (str(model), mode)


def _response(description: str, schema: Any) -> dict[str, Any]:
    if schema is None:
        return {"description": description}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _meaning(status: int) -> str:
    return {200: "OK", 201: "Created", 202: "Accepted", 204: "Nothing came"}[status]
