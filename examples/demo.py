"""Start a server, enqueue four jobs, and run a worker. One job fails once and is retried.

`nox -s demo` installs the packages and runs this script. The server's data is in a temporary
directory, which is removed at the end.
"""

import asyncio
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from corvo_client import AsyncClient, Job, JobState
from corvo_client.worker import Context, Worker

PEOPLE = ("ada", "grace", "barbara", "margaret")


@contextmanager
def running_server() -> Iterator[str]:
    """Run a server process with a free port and an empty data directory; yield its URL."""
    with tempfile.TemporaryDirectory(prefix="corvo-demo-") as data_dir:
        command = [sys.executable, "-m", "corvo_server", "--bind", "127.0.0.1:0"]
        command += ["--data-dir", data_dir, "--log-format", "json"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:  # noqa: S603
            try:
                yield _url_of(server)
            finally:
                server.terminate()
                server.communicate()


def _url_of(server: "subprocess.Popen[str]") -> str:
    output = []
    for line in server.stderr or ():
        output.append(line)
        url: str | None = json.loads(line).get("url") if line.startswith("{") else None
        if url is not None:
            return url
    raise SystemExit("the server did not start:\n" + "".join(output))


async def main() -> int:
    """Enqueue jobs, run them, and print the results; return 0 if all jobs are completed."""
    # The worker logs each failure with its traceback. The demo prints the server's record instead.
    logging.getLogger("corvo.worker").setLevel(logging.CRITICAL)
    with running_server() as url:
        print(f"A Corvo server runs at {url}, with one SQLite file.\n")
        worker = Worker(url, concurrency=5)

        @worker.task("emails.send", max_retries=3, retry_backoff="fixed", retry_base_delay="500ms")
        async def send_email(context: Context, to: str, subject: str) -> dict[str, str]:
            print(f"  attempt {context.attempt} of {context.id}: {subject!r} to {to}")
            if to == "grace@example.com" and context.attempt == 1:
                raise ConnectionError("the mail server hung up")
            return {"sent_to": to}

        replies = [
            await send_email.aenqueue(to=f"{name}@example.com", subject="Hello") for name in PEOPLE
        ]
        print(f"{len(replies)} jobs are enqueued and stored on disk. A worker starts:\n")
        async with worker, AsyncClient(url) as client:
            jobs = [await _finished_job(client, reply.job_id) for reply in replies]
        _show(jobs)
        return 0 if all(job.state == JobState.COMPLETED for job in jobs) else 1


async def _finished_job(client: AsyncClient, job_id: str) -> Job:
    """Return the job when it has finished."""
    async with asyncio.timeout(60):
        while True:
            job = await client.get_job(job_id)
            if isinstance(job.state, JobState) and job.state.is_finished:
                return job
            await asyncio.sleep(0.05)


def _show(jobs: list[Job]) -> None:
    print("\nThe jobs on the server:\n")
    for job in jobs:
        print(f"  {job.id}  {job.state:<9}  attempt {job.attempt}  result {job.result}")
        for error in job.errors:
            print(f"      attempt {error.attempt} failed: {error.error}")
        print(f"      {' → '.join(str(event.type) for event in job.timeline)}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
