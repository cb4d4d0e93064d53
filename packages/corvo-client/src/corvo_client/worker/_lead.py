"""The parameter whose model can be the whole payload."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from inspect import Parameter
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel, RootModel

from corvo_client.worker._signature import HandlerSignature


class Lead:
    """A parameter with a pydantic model, while all other parameters have defaults.

    If it is alone and has no other type, the model is the whole payload. Otherwise the payload is
    an object with the arguments, but there may be jobs from before other parameters were added, or
    from before the type got wider: `Model | None`, a union of models, `Annotated`. Jobs from before
    other parameters were removed are possible as well.
    """

    def __init__(
        self, parameter: Parameter, models: list[type[BaseModel]], *, is_alone: bool
    ) -> None:
        self.name = parameter.name
        self.is_alone = is_alone
        self._is_required = parameter.default is parameter.empty
        self._models = models

    def shapes(self, payload: Any) -> list[bool]:
        """Return whether the payload may be the model itself: the answers to try, likely first.

        A model that ignores unknown fields accepts almost any object. So the payload is only the
        model if it has a field of the model.
        """
        if not isinstance(payload, Mapping):
            return [True]
        is_named = self.name in payload
        if self.is_alone and (not is_named or self._has(self.name)):
            return [True, False] if is_named else [True]
        takes_any = any(model.model_config.get("extra") == "allow" for model in self._models)
        may_be_model = not payload or takes_any or any(map(self._has, payload))
        if is_named or not self._is_required:
            return [False, True] if may_be_model else [False]
        return [may_be_model]

    def _has(self, name: str) -> bool:
        is_root = any(issubclass(model, RootModel) for model in self._models)
        return is_root or name in self._known_names

    @cached_property
    def _known_names(self) -> frozenset[str]:
        return frozenset(name for model in self._models for name in _names_of(model))


def find_lead(signature: HandlerSignature) -> Lead | None:
    """Return the parameter whose model can be the whole payload, or None."""
    takes_any_name = False
    parameters: list[Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.kind is Parameter.VAR_KEYWORD:
            takes_any_name = True
        else:
            parameters.append(parameter)
    required = [p for p in parameters if p.default is p.empty]
    if len(required) > 1 or (takes_any_name and not required):
        return None
    for parameter in required or parameters:
        hint = signature.types.get(parameter.name)
        if models := _models_of(hint):
            is_alone = len(parameters) == 1 and not takes_any_name and isinstance(hint, type)
            return Lead(parameter, models, is_alone=is_alone)
    return None


def _models_of(hint: Any) -> list[type[BaseModel]]:
    """Return the models of a type that is made of models only, and perhaps None; else nothing."""
    hint = getattr(hint, "__value__", hint)  # of an alias
    if get_origin(hint) is Annotated:
        return _models_of(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        members = [member for member in get_args(hint) if member is not NoneType]
        found = [_models_of(member) for member in members]
        return [model for models in found for model in models] if all(found) else []
    return [hint] if isinstance(hint, type) and issubclass(hint, BaseModel) else []


def _names_of(model: type[BaseModel]) -> Iterator[str]:
    """Yield the names under which a payload can have the fields of a model."""
    for name, field in model.model_fields.items():
        yield name
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        for choice in choices:
            first = choice.path[0] if isinstance(choice, AliasPath) else choice
            if isinstance(first, str):
                yield first
