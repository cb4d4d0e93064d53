"""The pydantic model of the parameters of a function."""

from inspect import Parameter
from typing import Any, NotRequired, Required, Unpack, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, create_model
from pydantic.errors import PydanticSchemaGenerationError

from corvo_client.worker._signature import HandlerSignature

_QUALIFIERS = (Required, NotRequired)


def make_model(signature: HandlerSignature) -> tuple[type[BaseModel], dict[str, str]]:
    """Return a model with a field for each parameter, and the names of its fields by parameter.

    Each field is read and written under the name of its parameter. The annotation of a `**kwargs`
    parameter holds for every other member. Raises TypeError for a type that pydantic cannot
    validate.
    """
    names: dict[str, str] = {}
    fields: dict[str, Any] = {}
    rest: Any = None

    def add(name: str, hint: Any, default: Any) -> None:
        # Neutral field names: pydantic rejects fields named like `schema` or `_x`. They have a
        # space, so that they differ from the names of arguments.
        names[name] = field = f"p {len(fields)}"
        info = Field(default, alias=name, validation_alias=name, serialization_alias=name)
        fields[field] = (hint, info)

    for name, parameter in signature.parameters.items():
        hint = signature.types.get(name, Any)
        if parameter.kind is not Parameter.VAR_KEYWORD:
            add(name, hint, ... if parameter.default is parameter.empty else parameter.default)
        elif get_origin(hint) is Unpack:
            (kind,) = get_args(hint)
            for key, member in get_type_hints(kind, include_extras=True).items():
                add(key, _unqualified(member), ... if key in kind.__required_keys__ else None)
        else:
            rest = hint
    try:
        base = None if rest is None else _open_model(rest)
        config = ConfigDict(extra="forbid") if base is None else None
        return create_model(signature.name, __base__=base, __config__=config, **fields), names
    except PydanticUserError as error:
        raise _unusable(signature, error) from error


def has_one_way_alias(schema: Any) -> bool:
    """Return whether a field within a core schema is written under a name that is not read."""
    if isinstance(schema, list | tuple):
        return any(map(has_one_way_alias, schema))
    if not isinstance(schema, dict):
        return False
    written = schema.get("serialization_alias")
    if isinstance(written, str):
        read = schema.get("validation_alias")
        if read != written and not (isinstance(read, list) and [written] in read):
            return True
    # Not the values of an application: they can be anything.
    skipped = ("default", "metadata") if isinstance(schema.get("type"), str) else ()
    return any(has_one_way_alias(part) for key, part in schema.items() if key not in skipped)


def _open_model(hint: Any) -> type[BaseModel]:
    """Return a model that takes values of this type under all other names."""

    class Rest(BaseModel):
        model_config = ConfigDict(extra="allow")
        __pydantic_extra__: dict[str, hint]

    return Rest


def _unqualified(hint: Any) -> Any:
    while get_origin(hint) in _QUALIFIERS:
        (hint,) = get_args(hint)
    return hint


def _unusable(signature: HandlerSignature, error: PydanticUserError) -> TypeError:
    """Return the error of a type that pydantic does not know. It names the parameter."""
    for name in signature.parameters:
        try:
            TypeAdapter(signature.types.get(name, Any))
        except PydanticSchemaGenerationError as cause:
            # Not the advice of pydantic, which is about the configuration of a model.
            reason = str(cause).partition("\n")[0].partition(". Set `")[0]
            return TypeError(
                f"{signature.name}: parameter {name!r} cannot be validated: {reason}; pass plain "
                "data, such as the id of a row, or use a type that pydantic can write and read"
            )
        except PydanticUserError as cause:
            reason = str(cause).partition("\n")[0]
            return TypeError(f"{signature.name}: parameter {name!r} cannot be validated: {reason}")
    return TypeError(f"{signature.name}: pydantic cannot validate its parameters: {error}")
