"""Payload schemas that are derived from function signatures."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from inspect import Parameter
from typing import Any

from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from corvo_client._errors import CorvoError
from corvo_client._options import EnqueueOptions
from corvo_client.worker._context import Context
from corvo_client.worker._lead import find_lead
from corvo_client.worker._model import has_one_way_alias, make_model
from corvo_client.worker._roundtrip import alteration, difference
from corvo_client.worker._signature import HandlerSignature

_MAX_ERRORS = 20
_NOT_JSON_TEXT = ("json_type", "json_invalid")
_OTHER_RELEASE = (
    "either the payload is wrong, or another release has enqueued this job, for example during a "
    "deploy; a worker of that release can run it"
)

_UNREADABLE = (
    "a worker could not read this value as it would be sent; check the serializers, the validators "
    "and the aliases of its type"
)
_UNWRITABLE = (
    "annotate the parameter with a type that pydantic can write as JSON, or pass plain data, such "
    "as text, numbers or the id of a row"
)


class InvalidPayload(CorvoError, ValueError):
    """The payload does not match the function. The message has field names but no values."""


class InvalidJobPayload(InvalidPayload):
    """The payload of a fetched job does not match the function."""


class _Unfit(Exception):
    """A payload does not fit. `whole` is the parameter that would have got the whole payload."""

    def __init__(self, error: ValidationError, whole: str | None) -> None:
        super().__init__(whole)
        self.error = error
        self.whole = whole

    def remove_computed(self, payload: Any) -> bool:
        """Remove members of dataclasses with `init=False`. Return whether there were any.

        pydantic writes them, and refuses to read them, because the dataclass computes them.
        """
        is_removed = False
        for item in self.error.errors(include_url=False, include_context=False):
            if item["type"] != "unexpected_keyword_argument":
                continue
            *steps, name = item["loc"][0 if self.whole is None else 1 :]
            owner = payload
            for step in steps:
                if isinstance(owner, list) and isinstance(step, int):
                    owner = owner[step]
                elif isinstance(owner, dict):
                    owner = owner.get(step, owner)  # else the step is a member of a union
            if isinstance(owner, dict) and name in owner:
                del owner[name]
                is_removed = True
        return is_removed


class PayloadShape:
    """Converts between payloads and arguments of a function, and validates both.

    If the only parameter is annotated with a pydantic model, it gets the whole payload. Otherwise
    the payload is an object with the keyword arguments, validated by their annotations; unknown
    names are errors. A parameter annotated with `Context` is not part of the payload. If optional
    parameters are added beside a model, or removed, or if its type gets wider, jobs of the other
    shape still fit. Raises TypeError for a function that a payload cannot call.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        self._signature = HandlerSignature(function)
        self._model, self._fields = make_model(self._signature)
        self._lead = find_lead(self._signature)

    @property
    def whole(self) -> str | None:
        """Name of the parameter that gets the whole payload, or None."""
        return self._lead.name if self._lead is not None and self._lead.is_alone else None

    @property
    def names(self) -> frozenset[str] | None:
        """Names of the arguments that a call can have; None: any name."""
        takes_any = self._model.model_config.get("extra") == "allow"
        return None if takes_any else frozenset(self._fields)

    def json_schema(self) -> dict[str, Any] | None:
        """Return the JSON Schema of the payload; None if the types of the function have none."""
        try:
            shape: Any = self._model
            if self.whole is not None:
                (field,) = self._model.model_fields.values()
                shape = field.annotation
            schema: dict[str, Any] = TypeAdapter(shape).json_schema()
        except PydanticUserError:  # some types have no schema
            return None
        return schema

    def arguments(self, payload: Any, context: Context) -> dict[str, Any]:
        """Return the keyword arguments of the function. Raises `InvalidJobPayload`."""
        arguments: dict[str, Any] = {}
        if self._fields or payload:
            try:
                arguments = self._read(payload)
            except _Unfit as unfit:
                invalid = _invalid(unfit.error, skip=unfit.whole)
                raise InvalidJobPayload(f"{invalid}; {_OTHER_RELEASE}") from None
            except PydanticSerializationError as error:  # lone surrogates
                raise InvalidJobPayload(f"invalid payload: {error}") from None
        if self._signature.context is not None:
            arguments[self._signature.context] = context
        return arguments

    def payload(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Return the payload (plain JSON data) of a call with these arguments.

        Raises TypeError if the arguments do not match the signature. Raises `InvalidPayload` if a
        worker would reject the payload or would get other values: it is read as a worker does it.
        """
        arguments = self._bound(args, kwargs)
        model = self._validated(arguments)
        payload = self._written(model)
        read = self._read_back(payload)
        if _iterators(model):
            model = self._validated(arguments)  # an iterator has been consumed
        given = self._values_of(model, read)

        def is_json_equal() -> bool:
            return bool(self._written(self._validated(read)) == payload)

        for name, value in read.items():
            lost = alteration(arguments.get(name), given[name], name) or difference(
                given[name], value, name, is_json_equal
            )
            if lost is not None:
                raise InvalidPayload(f"invalid payload: {lost}")
        return payload

    def _bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, those of a `**kwargs` parameter as well.

        The message of a TypeError has the name of the task, and says where an option of the job is
        given: producers that know other queues pass `delay` beside the arguments.
        """
        flat: dict[str, Any] = {}
        try:
            bound = self._signature.without_context.bind(*args, **kwargs).arguments
        except TypeError as error:
            hints = [
                f"; {name!r} is an option of the job: write task.options({name}=...).enqueue(...)"
                for name in kwargs
                if name in EnqueueOptions.__annotations__ and name not in self._signature.parameters
            ]
            raise TypeError(f"{self._signature.name}: {error}{''.join(hints)}") from None
        for name, value in bound.items():
            if self._signature.parameters[name].kind is Parameter.VAR_KEYWORD:
                flat |= value
            elif isinstance(value, Iterator) and not hasattr(value, "read"):  # not a file
                flat[name] = list(value)
            else:
                flat[name] = value
        return flat

    def _validated(self, arguments: dict[str, Any]) -> BaseModel:
        model = self._converted(arguments)
        if iterators := _iterators(model):
            names = {field: name for name, field in self._fields.items()}
            for field, items in iterators.items():
                self._check_items(names.get(field, field), items)
            model = self._converted(arguments)
        return model

    def _check_items(self, name: str, items: Iterator[Any]) -> None:
        """Consume an iterator of pydantic, which validates its items when they are read."""
        try:
            for _ in items:
                pass
        except ValidationError as error:
            raise _invalid(error, within=name) from None

    def _converted(self, arguments: dict[str, Any]) -> BaseModel:
        try:
            return self._model.model_validate(arguments)
        except ValidationError as error:
            # A parameter of type `Json[T]` expects text, but type checkers expect a T.
            texts = [
                str(item["loc"][0])
                for item in error.errors(include_url=False, include_context=False)
                if item["type"] in _NOT_JSON_TEXT and len(item["loc"]) == 1
            ]
            refusal = _invalid(error)
        try:
            written = {name: to_json(arguments[name]).decode() for name in texts}
            return self._model.model_validate(arguments | written)
        except ValueError:
            raise refusal from None

    def _written(self, model: BaseModel) -> Any:
        # Missing arguments are not sent: the worker's function has the defaults. A model is
        # sent complete, because its default factories (e.g. random ids) must run only once.
        given = model.model_fields_set if self.whole is None else set(type(model).model_fields)
        try:
            payload = self._dumped(model, given)
        except ValueError as error:
            raise self._unwritable(model, given, error) from None
        return payload if self.whole is None else payload[self.whole]

    def _dumped(self, model: BaseModel, fields: set[str]) -> dict[str, Any]:
        # Round trip: without computed fields, which cannot be read, and with the text of `Json`.
        text = model.model_dump_json(
            include=fields, by_alias=self._has_two_way_aliases, round_trip=True, warnings=False
        )
        payload: dict[str, Any] = from_json(text, allow_inf_nan=False)
        if not self._has_two_way_aliases:
            names = {field: name for name, field in self._fields.items()}
            payload = {names.get(key, key): value for key, value in payload.items()}
        return payload

    def _unwritable(self, model: BaseModel, given: set[str], error: ValueError) -> InvalidPayload:
        """Return the error that names the argument which cannot be written."""
        names = {field: name for name, field in self._fields.items()}
        for field in given:
            try:
                self._dumped(model, {field})
            except ValueError as cause:
                where = names.get(field, field)
                return InvalidPayload(f"invalid payload: {where}: {cause}; {_UNWRITABLE}")
        return InvalidPayload(f"invalid payload: {error}; {_UNWRITABLE}")

    @cached_property
    def _has_two_way_aliases(self) -> bool:
        """Whether models are read by the names with which they are written."""
        # At the first use, because models may have references that are resolved then.
        return not has_one_way_alias(self._model.__pydantic_core_schema__)

    def _values_of(self, model: BaseModel, names: Iterable[str]) -> dict[str, Any]:
        values = model.__dict__ | (model.model_extra or {})
        return {name: values[self._fields.get(name, name)] for name in names}

    def _read_back(self, payload: Any) -> dict[str, Any]:
        """Return what a worker would get. Remove from the payload what dataclasses compute."""
        try:
            try:
                return self._read(payload)
            except _Unfit as unfit:
                if not unfit.remove_computed(payload):
                    raise
                return self._read(payload)
        except _Unfit as unfit:
            raise InvalidPayload(f"{_invalid(unfit.error)}; {_UNREADABLE}") from None

    def _read(self, payload: Any) -> dict[str, Any]:
        """Return the arguments of a payload, in the first shape that fits. Raises `_Unfit`."""
        shapes = [False] if self._lead is None else self._lead.shapes(payload)
        text = to_json(payload)
        unfit: list[_Unfit] = []
        for is_whole in shapes:
            whole = self._lead.name if self._lead is not None and is_whole else None
            try:
                return self._read_as(text, whole)
            except ValidationError as error:
                unfit.append(_Unfit(error, whole))
        raise unfit[0]

    def _read_as(self, text: bytes, whole: str | None) -> dict[str, Any]:
        if whole is not None:
            text = b'{"%s":%s}' % (whole.encode(), text)
        model = self._model.__pydantic_validator__.validate_json(text, by_alias=True, by_name=True)
        given = model.model_fields_set
        values = model.__dict__
        for field, items in _iterators(model).items():
            # A list, because the handler may read it twice, as it may read what the caller has.
            values[field] = list(items)
        arguments = {name: values[key] for name, key in self._fields.items() if key in given}
        return arguments | extra if (extra := model.model_extra) else arguments


def _iterators(model: BaseModel) -> dict[str, Iterator[Any]]:
    """Return the fields with an iterator of pydantic, which can be read once."""
    return {field: v for field, v in model.__dict__.items() if isinstance(v, Iterator)}


def _invalid(
    error: ValueError, skip: str | None = None, within: str | None = None
) -> InvalidPayload:
    if not isinstance(error, ValidationError):
        return InvalidPayload(f"invalid payload: {error}")
    parts = []
    items = error.errors(include_url=False, include_input=False, include_context=False)
    for item in items[:_MAX_ERRORS]:
        where = item["loc"][1:] if skip is not None and item["loc"][:1] == (skip,) else item["loc"]
        steps = where if within is None else (within, *where)
        path = ".".join(str(step) for step in steps) or "payload"
        parts.append(f"{path}: {item['msg']}")
    if len(items) > _MAX_ERRORS:
        parts.append(f"and {len(items) - _MAX_ERRORS} more")
    return InvalidPayload("invalid payload: " + "; ".join(parts))
