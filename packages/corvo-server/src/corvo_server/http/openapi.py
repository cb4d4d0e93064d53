"""Makes the OpenAPI description of the server from its table of endpoints."""

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from corvo_schema.auth import Role
from corvo_schema.errors import ErrorCode, ErrorReply
from corvo_schema.fields import QueueName
from corvo_server.__about__ import __version__
from corvo_server.http.budgets import ALWAYS_SERVED
from corvo_server.http.endpoint import (
    ANY_KEY,
    EVENT_STREAM,
    JSON,
    Endpoint,
    Parameter,
    Resource,
    documented,
)

_REF = "#/components/schemas/{model}"
_ERRORS_OF_BODIES = (
    ErrorCode.PARSE_ERROR,
    ErrorCode.VALIDATION_ERROR,
    ErrorCode.PAYLOAD_TOO_LARGE,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE,
)
_ERRORS_OF_ALL_CALLS = (
    ErrorCode.FORBIDDEN,
    ErrorCode.REQUEST_TIMEOUT,
    ErrorCode.UNAVAILABLE,
    ErrorCode.INTERNAL_ERROR,
)
_RETRYABLE = {ErrorCode.OVERLOADED.http_status, ErrorCode.UNAVAILABLE.http_status}
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key of the server."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_HEADERS = {
    "X-Request-ID": {
        "description": "Id of the request in the server's log: the request's own X-Request-ID if "
        "it is valid, else a new one.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which to retry the request.",
        "required": True,
        "schema": {"type": "integer"},
    },
}
_STRICT = Parameter(
    "strict",
    "Refuse unknown fields in the body instead of ignoring them.",
    {"enum": ["true", "false", "1", "0"], "default": "false"},
)
_QUEUE_NAME = TypeAdapter[str](QueueName).json_schema()
_ANY_NAME = {"type": "string", "minLength": 1}
_TYPE_KEYWORDS = {"type", "$ref", "anyOf", "oneOf", "enum", "const"}
"""Keywords of a schema that does not allow every value."""
_ANNOTATIONS = {"default", "title", "description", "examples"}


def describe(resources: Iterable[Resource]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of all endpoints of `resources`."""
    described = [
        (resource_.name, endpoint) for resource_ in resources for endpoint in resource_.endpoints
    ]
    references, schemas = _schemas(endpoint for _, endpoint in described)
    paths: dict[str, dict[str, Any]] = {}
    for tag, endpoint in described:
        path = documented(endpoint.path)
        operation = _operation(tag, endpoint, references)
        paths.setdefault(path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Corvo",
            "version": __version__,
            "description": "Durable background jobs over HTTP and JSON.",
        },
        "paths": paths,
        "components": {"schemas": schemas, "headers": _HEADERS, "securitySchemes": _SCHEMES},
    }


def _operation(tag: str, endpoint: Endpoint, references: dict[Any, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): _response(
            status,
            _meaning(status),
            references.get(_key(model, "serialization")),
            endpoint.media_type,
        )
        for status, model in endpoint.replies.items()
    }
    errors = [*endpoint.errors, *_ERRORS_OF_ALL_CALLS]
    if endpoint.request is not None:
        errors += _ERRORS_OF_BODIES
    elif endpoint.method != "GET":  # a request without a body must not declare another type
        errors.append(ErrorCode.UNSUPPORTED_MEDIA_TYPE)
    if endpoint.parameters:
        errors.append(ErrorCode.VALIDATION_ERROR)
    if endpoint.path not in ALWAYS_SERVED:
        errors.append(ErrorCode.OVERLOADED)
    if endpoint.roles:
        errors.append(ErrorCode.UNAUTHORIZED)
    if endpoint.writes:
        errors += (ErrorCode.STORAGE_FULL, ErrorCode.OUTCOME_UNKNOWN)
    for status in sorted({code.http_status for code in errors}):
        codes = sorted({code for code in errors if code.http_status == status})
        reference = references[_key(ErrorReply, "serialization")]
        responses[str(status)] = _response(status, ", ".join(codes), reference)
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__name__,
        "tags": [tag],
        "summary": endpoint.summary,
        "description": _needed(endpoint),
        "security": [{name: []} for name in _SCHEMES] if endpoint.roles else [],
        "responses": responses,
    }
    parameters = [*map(_path_parameter, endpoint.path_parameters)]
    parameters += map(_parameter, endpoint.parameters)
    if endpoint.request is not None:
        parameters.append(_parameter(_STRICT))
        schema = references[_key(endpoint.request, "validation")]
        fields = endpoint.request.model_fields.values()
        operation["requestBody"] = {
            "content": {JSON: {"schema": schema}},
            "required": any(field.is_required() for field in fields),
        }
    if parameters:
        operation["parameters"] = parameters
    return operation


def _needed(endpoint: Endpoint) -> str:
    """Return what a caller needs, in words."""
    if not endpoint.roles:
        return "Needs no API key."
    if endpoint.roles == ANY_KEY:
        return "Needs an API key with any role."
    roles = sorted({*endpoint.roles, Role.ADMIN})
    return f"Needs an API key with the role {' or '.join(roles)}."


def _path_parameter(name: str) -> dict[str, Any]:
    schema = _QUEUE_NAME if name == "name" else _ANY_NAME
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    described = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.is_required,
        "schema": parameter.schema,
    }
    if parameter.schema.get("type") == "array":
        described |= {"style": "form", "explode": False}
    return described


def _schemas(endpoints: Iterable[Endpoint]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Return a reference for each (model, mode) of the endpoints, and the referenced schemas."""
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
    """Describes defaults as on the wire: `5s` instead of 5000 ms.

    Fields of requests also accept null, which means the default.
    """

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        described = super().default_schema(schema)
        if self.mode != "validation" or not described.keys() & _TYPE_KEYWORDS:
            return described
        about = {name: described.pop(name) for name in _ANNOTATIONS & described.keys()}
        return self.get_union_of_schemas([described, {"type": "null"}]) | about

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        default = super().get_default_value(schema)
        if "default" not in schema or default is None:
            return default
        inner: Any = schema
        while "serialization" not in inner and "schema" in inner:  # unwrap validators
            inner = inner["schema"]
        serialization = inner.get("serialization", {})
        has_serializer = serialization.get("type") == "function-plain"
        return serialization["function"](default) if has_serializer else default


def _key(model: Any, mode: str) -> tuple[str, str]:
    return (str(model), mode)


def _response(status: int, description: str, schema: Any, media_type: str = JSON) -> dict[str, Any]:
    names = ["X-Request-ID", *(["Retry-After"] if status in _RETRYABLE else [])]
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    response: dict[str, Any] = {"description": description, "headers": headers}
    if schema is None:
        return response
    described = _server_sent_event(schema) if media_type == EVENT_STREAM else schema
    return {**response, "content": {media_type: {"schema": described}}}


def _server_sent_event(data: Any) -> dict[str, Any]:
    """Return the schema of one event of a stream."""
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "event": {"type": "string"},
            "data": {
                "type": "string",
                "contentMediaType": JSON,
                "contentSchema": data,
            },
        },
    }


def _meaning(status: int) -> str:
    return {200: "OK", 201: "Created", 202: "Accepted", 204: "No job arrived"}[status]
