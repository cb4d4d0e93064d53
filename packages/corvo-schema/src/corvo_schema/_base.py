"""What all models share: requests are strict, replies are tolerant.

A model's validator is built when it is first used: a program uses a few of them, and would wait for
all of them at its start.
"""

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict


class RequestModel(BaseModel):
    """A request's body: wrong types are refused, unknown fields ignored.

    A server that is asked for `?strict=true` validates with `extra="forbid"`, which reaches nested
    models too. A null in an optional field means the same as leaving the field out.
    """

    model_config = ConfigDict(
        defer_build=True,
        strict=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


class ReplyModel(BaseModel):
    """A reply's body: unknown fields and unknown enum values are let through.

    That lets a client live with a server newer than itself.
    """

    model_config = ConfigDict(
        defer_build=True,
        extra="ignore",
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


def given(*names: str) -> JsonDict:
    """Describe that fields are there, and not null."""
    return {"required": [*names], "properties": {name: {"not": {"type": "null"}} for name in names}}
