"""The result of an operation that has to run again, in the next commit."""

from enum import Enum
from typing import Final, Literal, TypeAlias


class _Result(Enum):
    POSTPONED = "postponed"


Postponed: TypeAlias = Literal[_Result.POSTPONED]
POSTPONED: Final = _Result.POSTPONED
"""A verb returns this for a request on which it did nothing yet."""
