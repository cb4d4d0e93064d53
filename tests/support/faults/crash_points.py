"""The points of a commit at which a process can end, and the plan of where it does.

The files of a folder steer the process and report: `plan` says where it ends, `commits` has a line
for each transaction, and while `hold` exists the services of the leader do nothing.
"""

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from corvo_server.store.commit import writes
from corvo_server.store.commit.session import Group, Verb

PLAN, COMMITS, HOLD = "plan", "commits", "hold"
_VERBS = {id(verb): name for name, verb in vars(writes).items() if isinstance(verb, Verb)}


class Point(StrEnum):
    """Where a process ends, in the order of what a commit does."""

    BEGUN = "begun"
    """The transaction has begun and has no statement."""
    WRITTEN = "written"
    """All statements are done. The COMMIT was not sent."""
    SENT = "sent"
    """The COMMIT was sent, and its answer was not read. PostgreSQL only."""
    COMMITTED = "committed"
    """The COMMIT is done. No caller knows it."""
    REPLYING = "replying"
    """The callers know it. The reply was not written."""
    REPLIED = "replied"
    """The client has the reply. The test ends the process."""


@dataclass(frozen=True)
class Plan:
    """At which point of which commit the process ends."""

    point: Point
    verb: str = ""
    """Count only commits with this verb, a name in `store/commit/writes.py`; empty: all commits."""
    skip: int = 0
    """Number of commits to let pass first."""
    loses_commit: bool = False
    """Leave the COMMIT out, and continue as if it were done: a server that breaks its promise."""


class Crash:
    """Follows the commits of this process, and ends it as planned."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._text = ""
        self._plan: Plan | None = None
        self._passed = 0
        self._is_here = False
        self._is_over = False

    @property
    def is_lossy(self) -> bool:
        """Whether the current COMMIT is to be left out."""
        return self._is_here and self._plan is not None and self._plan.loses_commit

    @property
    def is_held(self) -> bool:
        """Whether the services of the leader do nothing."""
        return (self._folder / HOLD).exists()

    def begin(self, groups: Sequence[Group]) -> None:
        """Note a new transaction."""
        verbs = [_VERBS[id(group.verb)] for group in groups]
        with (self._folder / COMMITS).open("a", encoding="ascii") as file:
            file.write(" ".join(verbs) + "\n")
        self._read_plan()
        self._is_here = False
        if self._plan is not None and self._plan.verb in ("", *verbs):
            self._is_here = self._passed == self._plan.skip
            self._passed += 1

    def end(self) -> None:
        """Note that the transaction is committed."""
        self._is_over = self._is_over or self._is_here

    def is_due(self, point: Point) -> bool:
        """Return whether the process is to end now, at `point`."""
        is_here = self._is_over if point is Point.REPLYING else self._is_here
        return is_here and self._plan is not None and self._plan.point is point

    def at(self, point: Point) -> None:
        """End the process if `point` is the planned one."""
        if self.is_due(point):
            self.happen()

    def happen(self) -> None:
        """End the process, and remove the plan as a sign of it."""
        (self._folder / PLAN).unlink()
        os.kill(os.getpid(), signal.SIGKILL)

    def _read_plan(self) -> None:
        path = self._folder / PLAN
        text = path.read_text(encoding="ascii") if path.exists() else ""
        if text != self._text:
            self._text, self._passed, self._is_over = text, 0, False
            self._plan = read_plan(text) if text else None


def write_plan(plan: Plan) -> str:
    """Return the content of the file `plan`."""
    return json.dumps(asdict(plan))


def read_plan(text: str) -> Plan:
    """Return the plan in the content of its file."""
    fields = json.loads(text)
    return Plan(**{**fields, "point": Point(fields["point"])})
