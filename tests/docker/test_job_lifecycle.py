"""The life of jobs on a server in a container, with clients and workers on this machine."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corvo_client import BatchOptions, Job
from corvo_schema.states import JobState
from server_support.process import Process, clean_environment, python
from server_support.waiting import wait_blocking
from support.container import CorvoContainer, worker_command

TASKS = """
from corvo_client.worker import Context, Worker

worker = Worker(concurrency=4)


@worker.task("flaky", max_retries=3, retry_base_delay="10ms")
def flaky(context: Context, n: int):
    context.progress(1, 2, "half way")
    context.checkpoint({"seen": context.attempt})
    if context.attempt < 3:
        raise ValueError(f"attempt {context.attempt} of {n}")
    return {"n": n, "attempt": context.attempt}


@worker.task("done")
def done(context: Context, **summary):
    return summary
"""


@pytest.fixture
def worker(container: CorvoContainer, tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    process = Process(worker_command("tasks:worker"), env=container.environment, cwd=tmp_path)
    process.wait_for_line(lambda line: "serves" in line, "the worker runs")
    yield process
    process.close()


def corvo(container: CorvoContainer, *arguments: str) -> Any:
    done = subprocess.run(
        python("-m", "corvo_cli", *arguments, "--output", "json"),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(
            {**container.environment, "CORVO_CONFIG": "/nonexistent/config.toml"}
        ),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.usefixtures("worker")
def test_jobs_are_processed_and_the_batch_calls_back(container: CorvoContainer) -> None:
    with container.client() as client:
        batch = client.enqueue_batch(
            [{"queue": "flaky", "payload": {"n": n}, "retry_base_delay": "10ms"} for n in range(5)],
            batch=BatchOptions(callback_queue="done"),
        )
        assert batch.batch_id is not None
        wait_blocking(lambda: client.get_batch(str(batch.batch_id)).pending == 0, "the batch ends")
        jobs = [client.get_job(job_id) for job_id in batch.job_ids]
        assert [job.result for job in jobs] == [{"n": n, "attempt": 3} for n in range(5)]
        assert [_steps(job) for job in jobs] == [
            ["enqueued", *["started", "retrying", "promoted"] * 2, "started", "completed"]
        ] * 5
        assert [[error.error for error in job.errors] for job in jobs] == [
            [f"ValueError: attempt {attempt} of {n}" for attempt in (1, 2)] for n in range(5)
        ]
        wait_blocking(lambda: client.get_queue("done").completed == 1, "the callback is done")


def test_command_line_manages_the_server(container: CorvoContainer) -> None:
    job = corvo(container, "enqueue", "letters", '{"to": "Ada"}', "--delay", "1h")
    assert corvo(container, "inspect", job["job_id"])["state"] == JobState.SCHEDULED
    corvo(container, "pause", "letters")
    (queue,) = corvo(container, "queues")
    assert (queue["name"], queue["paused"], queue["scheduled"]) == ("letters", True, 1)
    corvo(container, "cancel", job["job_id"])
    assert corvo(container, "inspect", job["job_id"])["state"] == JobState.CANCELLED


def _steps(job: Job) -> list[str]:
    return [event.type for event in job.timeline if event.type != "progress"]
