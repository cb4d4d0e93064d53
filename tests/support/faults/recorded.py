"""Starts servers whose files and sockets are recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.faults import changed_server
from support.faults.recording import Recording, read_recording
from support.server import CorvoServer


class RecordedServer(CorvoServer):
    """A server on SQLite under the library `record.c`. All its processes write one recording."""

    def __init__(
        self, folder: Path, library: Path, *, checkpoint: int = 4000, synchronous: str = "FULL"
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
        # No lease ends by itself.
        program = (changed_server.__file__,)
        super().__init__(folder / "data", {"lease": "1d"}, env=env, program=program)

    def kill_at_next_sync(self) -> None:
        """Kill the process when it has written its next commit to the log, before the fsync."""
        self._kill.touch()

    def recording(self) -> Recording:
        """Return what has been recorded so far."""
        return read_recording(self._log)


@contextmanager
def recorded_server(
    folder: Path, library: Path, *, checkpoint: int = 4000, synchronous: str = "FULL"
) -> Iterator[RecordedServer]:
    """Run a recorded server. Kill it at the end if it still runs."""
    server = RecordedServer(folder, library, checkpoint=checkpoint, synchronous=synchronous)
    server.start()
    try:
        yield server
    finally:
        server.close()
