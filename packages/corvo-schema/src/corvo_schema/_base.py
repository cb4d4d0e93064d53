"""Base classes of the models: requests are strict, replies are tolerant.

A model's validator is built at its first use, because a program uses only some of the models and
would otherwise build all of them at startup.
"""

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict


class RequestModel(BaseModel):
    """Body of a request. Wrong types are refused; unknown fields are ignored.

    For `?strict=true`, the server validates with `extra="forbid"`, which also applies to nested
    models. A null in an optional field means the same as an absent field.
    """

    model_config = ConfigDict(
        defer_build=True,
        strict=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class ReplyModel(BaseModel):
    """Body of a reply. Unknown fields and enum values are accepted.

    A client can therefore use a server that is newer than itself.
    """

    model_config = ConfigDict(
        defer_build=True,
        extra="ignore",
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


def given(*names: str) -> JsonDict:
    """Return a JSON schema that requires the fields to be present and not null."""
    return {"required": [*names], "properties": {name: {"not": {"type": "null"}} for name in names}}
