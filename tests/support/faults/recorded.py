"""Starts servers whose files and sockets are recorded."""

from collections.abc import Mapping
from pathlib import Path

from support.faults import changed_server
from support.faults.recording import Recording, read_recording
from support.server import CorvoServer

OPTIONS: Mapping[str, str | int] = {"lease": "1d"}
"""Options of the servers: no lease ends by itself."""


class RecordedServer(CorvoServer):
    """A server under the library `record.c`. All its processes write one recording."""

    def __init__(
        self,
        folder: Path,
        library: Path,
        options: Mapping[str, str | int] | None = None,
        *,
        checkpoint: int = 4000,
        synchronous: str = "FULL",
    ) -> None:
        """Make files in `folder`. A checkpoint starts at that number of pages in the log."""
        folder = folder.resolve()
        self._log = folder / "recording"
        self._kill = folder / "kill"
        env = {
            "LD_PRELOAD": str(library),
            "RECORD_DIR": str(folder / "data"),
            "RECORD_LOG": str(self._log),
            "RECORD_KILL": str(self._kill),
            "CHANGED_CHECKPOINT": str(checkpoint),
            "CHANGED_SYNCHRONOUS": synchronous,
        }
        program = (changed_server.__file__,)
        super().__init__(folder / "data", {**OPTIONS, **(options or {})}, env=env, program=program)

    def __enter__(self) -> "RecordedServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def kill_at_next_sync(self) -> None:
        """Kill the process when it has written its next commit to the log, before the fsync."""
        self._kill.touch()

    def recording(self) -> Recording:
        """Return what has been recorded so far."""
        return read_recording(self._log)
