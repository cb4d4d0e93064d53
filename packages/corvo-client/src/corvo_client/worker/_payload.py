"""Payload schemas that are derived from function signatures."""

import inspect
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import PydanticSerializationError, from_json, to_json

from corvo_client._errors import CorvoError
from corvo_client.worker._context import Context

_MAX_ERRORS = 20
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class InvalidPayload(CorvoError, ValueError):
    """The payload does not match the function. The message has field names but no values."""


class InvalidJobPayload(InvalidPayload):
    """The payload of a fetched job does not match the function."""


class PayloadShape:
    """Converts between payloads and arguments of a function, and validates both.

    If the only parameter is annotated with a pydantic model, it gets the whole payload. Otherwise
    the payload is an object with the keyword arguments, validated by their annotations; unknown
    names are errors. A parameter annotated with `Context` is not part of the payload. Raises
    TypeError for a function with positional-only parameters or `*args`.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        signature = inspect.signature(function)
        hints = _hints_of(function)
        self._context_name: str | None = None
        fields: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        takes_any = False
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                takes_any = True
            elif parameter.kind not in _NAMED:
                raise TypeError(
                    f"{_name_of(function)}: parameter {name!r} cannot be passed by name; use "
                    "only parameters with names, because a payload has only names"
                )
            elif _is_context(hints.get(name)):
                self._context_name = name
            else:
                # Neutral field names: pydantic rejects fields named like `schema` or `_x`.
                field = f"p{len(fields)}"
                self._names[field] = name
                default = ... if parameter.default is parameter.empty else parameter.default
                fields[field] = (hints.get(name, Any), Field(default, alias=name))
        # The signature of `enqueue` has no context parameter.
        self._signature = signature.replace(
            parameters=[p for p in signature.parameters.values() if p.name != self._context_name]
        )
        config = ConfigDict(extra="allow" if takes_any else "forbid", arbitrary_types_allowed=False)
        self._model = create_model(_name_of(function), __config__=config, **fields)
        self._whole = self._find_whole(hints) if not takes_any else None

    def _find_whole(self, hints: Mapping[str, Any]) -> str | None:
        """Return the name of the parameter that gets the whole payload, or None."""
        if len(self._names) != 1:
            return None
        (name,) = self._names.values()
        hint = hints.get(name)
        return name if isinstance(hint, type) and issubclass(hint, BaseModel) else None

    @property
    def whole(self) -> str | None:
        """Name of the parameter that gets the whole payload, or None."""
        return self._whole

    def json_schema(self) -> dict[str, Any] | None:
        """Return the JSON Schema of the payload; None if the types of the function have none."""
        try:
            shape: Any = self._model
            if self._whole is not None:
                (field,) = self._model.model_fields.values()
                shape = field.annotation
            schema: dict[str, Any] = TypeAdapter(shape).json_schema()
        except PydanticInvalidForJsonSchema:
            return None
        return schema

    def arguments(self, payload: Any, context: Context) -> dict[str, Any]:
        """Return the keyword arguments of the function. Raises `InvalidJobPayload`."""
        arguments: dict[str, Any] = {}
        if self._names or payload:
            try:
                arguments = self._read(to_json(payload))
            except InvalidPayload as error:
                raise InvalidJobPayload(str(error)) from None
            except PydanticSerializationError as error:  # lone surrogates
                raise InvalidJobPayload(f"invalid payload: {error}") from None
        if self._context_name is not None:
            arguments[self._context_name] = context
        return arguments

    def payload(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return the payload (plain JSON data) of a call with these arguments.

        Raises TypeError if the arguments do not match the signature. Raises `InvalidPayload` if a
        worker would reject the payload: it is validated as a worker does it, after serialization.
        """
        arguments = _flatten(self._signature, self._signature.bind(*args, **kwargs).arguments)
        try:
            model = self._model.model_validate(arguments)
            # Missing arguments are not sent: the worker's function has the defaults. A model is
            # sent complete, because its default factories (e.g. random ids) must run only once.
            given = model.model_fields_set if self._whole is None else None
            text = model.model_dump_json(include=given, by_alias=True).encode()
        except ValueError as error:
            raise _invalid(error) from None
        payload = from_json(text)
        if self._whole is not None:
            payload = payload[self._whole]
        self._read(to_json(payload))
        return payload

    def _read(self, text: bytes) -> dict[str, Any]:
        if self._whole is not None:
            text = b'{"%s":%s}' % (self._whole.encode(), text)
        try:
            model = self._model.__pydantic_validator__.validate_json(text)
        except ValidationError as error:
            raise _invalid(error, skip=self._whole) from None
        given = model.model_fields_set
        values = model.__dict__
        arguments = {name: values[key] for key, name in self._names.items() if key in given}
        return arguments | extra if (extra := model.model_extra) else arguments


def _flatten(signature: inspect.Signature, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with those of a `**kwargs` parameter at the top level."""
    flat: dict[str, Any] = {}
    for name, value in arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            flat |= value
        else:
            flat[name] = value
    return flat


def _hints_of(function: Callable[..., object]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{_name_of(function)}: the annotation {error.name!r} is not known at module level; "
            "define it there, or remove `from __future__ import annotations`"
        ) from error


def _is_context(hint: Any) -> bool:
    return hint is Context or set(get_args(hint)) == {Context, NoneType}


def _name_of(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _invalid(error: ValueError, skip: str | None = None) -> InvalidPayload:
    if not isinstance(error, ValidationError):
        return InvalidPayload(f"invalid payload: {error}")
    parts = []
    items = error.errors(include_url=False, include_input=False, include_context=False)
    for item in items[:_MAX_ERRORS]:
        where = item["loc"][1:] if skip is not None and item["loc"][:1] == (skip,) else item["loc"]
        path = ".".join(str(step) for step in where) or "payload"
        parts.append(f"{path}: {item['msg']}")
    if len(items) > _MAX_ERRORS:
        parts.append(f"and {len(items) - _MAX_ERRORS} more")
    return InvalidPayload("invalid payload: " + "; ".join(parts))
