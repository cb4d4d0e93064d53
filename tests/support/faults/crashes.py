"""A server that a test kills at chosen points of its commits."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import server_support
from server_support.waiting import wait_until
from support.faults.crash_points import COMMITS, HOLD, PLAN, Plan, write_plan
from support.server import CorvoServer

_PROGRAM = "support.faults.crashing_server"
_PATHS = (Path(__file__).parents[2], Path(server_support.__file__).parents[1])
_LISTENS = '"message":"listening on'


class CrashingServer(CorvoServer):
    """A server that starts again on the same port, by itself, each time that it was killed."""

    def __init__(self, folder: Path, options: Mapping[str, str | int] | None = None) -> None:
        self._steering = folder / "steering"
        self._steering.mkdir(parents=True)
        super().__init__(
            folder / "data",
            options,
            env={"PYTHONPATH": os.pathsep.join(map(str, _PATHS))},
            prefix=[sys.executable, "-m", _PROGRAM, str(self._steering)],
        )
        self._lives = 1

    @property
    def commits(self) -> list[str]:
        """The verbs of all transactions so far, one text for each transaction."""
        path = self._steering / COMMITS
        return path.read_text(encoding="ascii").splitlines() if path.exists() else []

    @property
    def is_planned(self) -> bool:
        """Whether a planned end has not happened yet."""
        return (self._steering / PLAN).exists()

    def plan(self, plan: Plan) -> None:
        """End the process as planned. Commits count from now on."""
        part = self._steering / "part"
        part.write_text(write_plan(plan), encoding="ascii")
        part.rename(self._steering / PLAN)

    def drop_plan(self) -> None:
        """Forget a plan that has not happened."""
        (self._steering / PLAN).unlink(missing_ok=True)

    def hold(self) -> None:
        """Let the services of the leader do nothing, in this life and the next ones."""
        (self._steering / HOLD).touch()

    def release(self) -> None:
        """End `hold`."""
        (self._steering / HOLD).unlink(missing_ok=True)

    def end_life(self) -> None:
        """Kill the running process."""
        last = next(line for line in reversed(self.lines) if _LISTENS in line)
        os.kill(json.loads(last)["pid"], signal.SIGKILL)

    async def wait_for_next_life(self) -> None:
        """Wait until the process has been killed, and the next one listens."""

        def has_begun() -> bool:
            assert self.process.is_running, self.process.output
            return sum(_LISTENS in line for line in self.process.lines) > self._lives

        await wait_until(has_begun, "the next process listens")
        self._lives += 1
        assert not self.is_planned, "the process ended elsewhere than planned"
