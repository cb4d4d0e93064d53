"""The effects of the calls of a load: they tell which states a power cut may leave."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from itertools import count
from typing import NamedTuple

from support.faults.recording import Recording

State = Hashable
"""The state of one thing, such as a job; None if it does not exist."""


class Unknown:
    """Equal to any state: what a call without an answer may have left."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class _Change(NamedTuple):
    call: str
    state: State


class Effects:
    """The states of each thing in order, each with the call that caused it.

    All calls that change one thing must come from one client, one after the other.
    """

    def __init__(self) -> None:
        self._changes: defaultdict[str, list[_Change]] = defaultdict(list)
        self._numbers = count(1)

    @property
    def things(self) -> list[str]:
        """The names of all things."""
        return list(self._changes)

    def new_call(self) -> str:
        """Return the X-Request-ID for a new call."""
        return f"effect-{next(self._numbers)}"

    def note(self, call: str, thing: str, state: State) -> None:
        """Note the state of a thing after a call, also if its reply has not arrived."""
        self._changes[thing].append(_Change(call, state))

    def acknowledged(self, recording: Recording, cut: int) -> int:
        """Return the number of calls of which the reply was on its way at a position."""
        calls = {change.call for changes in self._changes.values() for change in changes}
        return sum(recording.replies.get(call, cut) < cut for call in calls)

    def differences(
        self, found: Mapping[str, State], recording: Recording, cut: int
    ) -> Iterator[str]:
        """Yield a sentence for each thing that is not as a power cut at a position may leave it.

        A thing must be as the last acknowledged call left it, or as a later call did that had
        arrived at the server.
        """
        for thing, changes in self._changes.items():
            allowed: list[State] = [None]
            for change in changes:
                if recording.replies.get(change.call, cut) < cut:
                    allowed = [change.state]
                elif recording.arrivals.get(change.call, cut) < cut:
                    allowed.append(change.state)
            if found.get(thing) not in allowed:
                yield f"{thing} is {found.get(thing)}, and may be {allowed}"
