"""Progress of an attempt, as its worker reports it."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainValidator, WithJsonSchema

from corvo_schema.fields import FreeText

_LARGEST = 1e300


def _read_number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise ValueError("must be a finite number")
    return value


# Not a union of int and float: 5 must stay an int, and the path of an error must be the field only.
Number = Annotated[int | float, PlainValidator(_read_number), WithJsonSchema({"type": "number"})]


class Progress(BaseModel):
    """Progress: `current` of `total` in any unit, and a message. All fields are optional."""

    model_config = ConfigDict(extra="ignore")

    current: Number | None = None
    total: Number | None = None
    message: FreeText | None = None
