"""The parameter whose model can be the whole payload."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from inspect import Parameter
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel, RootModel

from corvo_client.worker._signature import HandlerSignature


class Lead:
    """A parameter with a pydantic model, while all other parameters have defaults.

    If it is alone, the model is the whole payload. If there are other parameters, the payload is an
    object with the arguments, but there may be jobs from before these parameters were added. Jobs
    from before other parameters were removed are possible as well.
    """

    def __init__(self, parameter: Parameter, model: type[BaseModel], *, is_alone: bool) -> None:
        self.name = parameter.name
        self.is_alone = is_alone
        self._is_required = parameter.default is parameter.empty
        self._model = model

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
        takes_any = self._model.model_config.get("extra") == "allow"
        may_be_model = not payload or takes_any or any(map(self._has, payload))
        if is_named or not self._is_required:
            return [False, True] if may_be_model else [False]
        return [may_be_model]

    def _has(self, name: str) -> bool:
        return issubclass(self._model, RootModel) or name in self._known_names

    @cached_property
    def _known_names(self) -> frozenset[str]:
        return frozenset(_names_of(self._model))


def find_lead(signature: HandlerSignature) -> Lead | None:
    """Return the parameter whose model can be the whole payload, or None."""
    parameters = list(signature.parameters.values())
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    candidates = [p for p in parameters if p.default is p.empty] or parameters[:1]
    if len(candidates) != 1:
        return None
    hint = signature.types.get(candidates[0].name)
    if not isinstance(hint, type) or not issubclass(hint, BaseModel):
        return None
    return Lead(candidates[0], hint, is_alone=len(parameters) == 1)


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
