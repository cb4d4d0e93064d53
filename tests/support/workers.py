"""Worker processes."""

from pathlib import Path

from server_support.process import Process, python

_PROGRAM = Path(__file__).with_name("worker_program.py")


class WorkerProcess(Process):
    """A process that runs `worker_program`."""

    def __init__(self, url: str, queue: str, behaviour: str, *, grace_period: float = 20.0) -> None:
        command = python(_PROGRAM, queue, behaviour, str(grace_period))
        super().__init__(command, env={"CORVO_SERVER": url})

    def see(self, what: str, job_id: str) -> int:
        """Wait until a handler reports `what` about a job. Return the number of the attempt."""
        line = self.wait_for_line(lambda line: line.startswith(f"{what} {job_id} "), what)
        return int(line.split()[2])
