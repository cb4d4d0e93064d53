"""Every command of `corvo` in a separate process, against a server."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from corvo_cli.catalog import COMMANDS
from corvo_server.auth.key_text import new_key
from server_support.process import Process, are_keys_used, clean_environment, python
from server_support.waiting import PATIENCE, wait_blocking
from support.api_client import new_name
from support.leaks import note_output
from support.server import CorvoServer, StartServer, server_command

without_keys = pytest.mark.skipif(are_keys_used(), reason="makes the first key")
JOB_ID = re.compile(r"job_[0-9A-Z]{26}")
TASKS = """
from corvo_client.worker import Context, Worker

worker = Worker(concurrency=2)


def serve(queue):
    @worker.task(queue)
    def work(context: Context, n: int = 0):
        if n < 0:
            raise ValueError("n is below zero")
        return {"doubled": 2 * n}


def make():
    import os

    serve(os.environ["QUEUE"])
    return worker
"""


class Done(NamedTuple):
    """The result of a run."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The output, parsed as one JSON document."""
        return json.loads(self.stdout)

    @property
    def documents(self) -> list[Any]:
        """The output, parsed as one JSON document per line."""
        return [json.loads(line) for line in self.stdout.splitlines()]


Corvo = Callable[..., Done]


def run(
    *arguments: str,
    url: str,
    stdin: str = "",
    code: int = 0,
    env: Mapping[str, str] | None = None,
) -> Done:
    ended = subprocess.run(
        [sys.executable, "-m", "corvo_cli", *arguments],
        check=False,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(
            {"CORVO_SERVER": url, "CORVO_CONFIG": "/nonexistent/config.toml", **(env or {})}
        ),
    )
    note_output(ended.stdout + ended.stderr)
    assert ended.returncode == code, f"{arguments}: {ended.returncode}\n{ended.stderr}"
    return Done(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def corvo(server: CorvoServer) -> Corvo:
    """A function that runs `corvo` on the shared server and expects the exit code `code`."""

    def corvo(*arguments: str, stdin: str = "", code: int = 0) -> Done:
        return run(*arguments, url=server.url, stdin=stdin, code=code)

    return corvo


@pytest.fixture
def worker(server: CorvoServer, queue: str, tmp_path: Path) -> Iterator[Process]:
    """A process of `corvo worker` on the queue of the test."""
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    process = Process(
        python("-m", "corvo_cli", "worker", "tasks:make", "--concurrency", "3"),
        env={"CORVO_SERVER": server.url, "QUEUE": queue},
        cwd=tmp_path,
    )
    process.wait_for_line(lambda line: "serves" in line, "the worker runs")
    yield process
    process.close()


def enqueue(corvo: Corvo, queue: str, *arguments: str) -> str:
    return corvo("enqueue", queue, *arguments).stdout.strip()


def pieces(terminal: int) -> Iterator[bytes]:
    """Yield the output on a terminal until its end, or until PATIENCE seconds have passed."""
    # One deadline for all pieces, because a live view writes without end.
    deadline = time.monotonic() + PATIENCE
    while (left := deadline - time.monotonic()) > 0 and select.select([terminal], [], [], left)[0]:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # raised at the end of the terminal
            piece = b""
        if not piece:
            return
        yield piece


def read_until(terminal: int, text: str) -> None:
    """Read the output on a terminal until it contains the text."""
    shown = b""
    for piece in pieces(terminal):
        shown += piece
        if text.encode() in shown:
            return
    raise AssertionError(f"{text}: not in {shown!r}")


def test_job_from_enqueue_to_inspect(corvo: Corvo, queue: str) -> None:
    payload = '{"z": 1.10, "a": 123456789012345678901234567890}'
    made = corvo("enqueue", queue, payload, "--tag", "a=b", "--priority", "high", "-o", "json")
    job_id = made.document["job_id"]
    assert (made.document["status"], made.stderr) == ("pending", "")
    raw = corvo("inspect", job_id, "--output", "json").stdout
    assert f'"payload":{payload}' in raw
    assert raw == corvo("-o", "jsonl", "inspect", job_id).stdout
    text = corvo("inspect", job_id).stdout
    assert "123456789012345678901234567890" in text
    assert JOB_ID.findall(corvo("search", "--queue", queue).stdout) == [job_id]


def test_enqueue_prints_the_id(corvo: Corvo, queue: str) -> None:
    done = corvo("enqueue", queue, "-", "--delay", "1h", stdin='{"n": 1}')
    assert JOB_ID.fullmatch(done.stdout.strip())
    assert "scheduled" in done.stderr


def test_enqueue_of_a_unique_job_reports_the_conflict(corvo: Corvo, queue: str) -> None:
    first = enqueue(corvo, queue, "--unique-key", "k")
    again = corvo("enqueue", queue, "--unique-key", "k")
    assert again.stdout.strip() == first
    assert "not enqueued" in again.stderr
    corvo("enqueue", queue, "--unique-key", "k", "--on-conflict", "error", code=5)


@pytest.mark.usefixtures("worker")
def test_wait_ends_with_the_job(corvo: Corvo, queue: str) -> None:
    done = corvo("enqueue", queue, '{"n": 21}', "--wait-timeout", "20s", "-o", "json")
    assert done.document["result"] == {"doubled": 42}
    failed = corvo("enqueue", queue, '{"n": -1}', "--max-retries", "1", "--wait", code=1)
    assert "is dead: ValueError: n is below zero" in failed.stderr
    assert "ValueError" in failed.stdout


def test_wait_timeout_exits_with_7(corvo: Corvo, queue: str) -> None:
    done = corvo("enqueue", queue, "--wait-timeout", "200ms", "-o", "json", code=7)
    assert done.document["state"] == "pending"


def test_worker_stops_gracefully(worker: Process, corvo: Corvo) -> None:
    [started] = re.findall("worker_[0-9a-f]+", worker.lines[0])

    def is_known() -> bool:
        return started in {one["id"] for one in corvo("workers", "-o", "jsonl").documents}

    wait_blocking(is_known, "the server knows the worker")
    assert started in corvo("workers").stdout
    assert worker.stop() == 0
    assert "stopped" in worker.output


def test_actions_on_one_job(corvo: Corvo, queue: str) -> None:
    job_id = enqueue(corvo, queue)
    corvo("priority", job_id, "critical")
    corvo("move", job_id, f"{queue}.2")
    assert corvo("cancel", job_id, "-o", "json").document == {"status": "cancelled"}
    corvo("requeue", job_id, code=5)
    assert "pending again" in corvo("retry", job_id).stderr
    job = corvo("inspect", job_id, "-o", "json").document
    assert (job["queue"], job["priority"], job["state"]) == (f"{queue}.2", "critical", "pending")
    corvo("delete", job_id)
    missing = corvo("inspect", job_id, code=3)
    assert (missing.stdout, missing.stderr) == ("", f"Error: There is no job {job_id}.\n")


def test_dead_job_is_requeued(corvo: Corvo, queue: str, worker: Process) -> None:
    failed = corvo(
        "enqueue", queue, '{"n": -1}', "--max-retries", "1", "--wait", "-o", "json", code=1
    )
    worker.stop()
    job_id = failed.document["id"]
    corvo("requeue", job_id)
    assert corvo("inspect", job_id, "-o", "json").document["state"] == "pending"


def test_actions_on_a_queue(corvo: Corvo, queue: str) -> None:
    enqueue(corvo, queue)
    for arguments in [
        ("pause", queue),
        ("resume", queue),
        ("drain", queue),
        ("concurrency", queue, "5", "--per-key", "2"),
        ("throttle", queue, "100", "--per", "1m"),
    ]:
        assert corvo(*arguments).stdout == ""
    shown = corvo("queues", queue, "-o", "json").document
    assert (shown["draining"], shown["max_concurrency"], shown["max_per_key"]) == (True, 5, 2)
    assert (shown["rate_limit"], shown["rate_window_ms"]) == (100, 60_000)
    assert "5 active, 2 per key, 100 per 1m" in corvo("queues", queue).stdout
    corvo("throttle", queue, "--off")
    corvo("defaults", queue, "--max-retries", "7")
    assert corvo("queues", queue, "-o", "json").document["defaults"]["max_retries"] == 7
    corvo("defaults", queue, "--off")
    assert queue in {one["name"] for one in corvo("queues", "-o", "jsonl").documents}
    assert queue in corvo("queues").stdout
    assert corvo("clear", queue, "-o", "json").document == {"status": "cleared", "deleted": 1}
    corvo("destroy", queue, code=2)
    corvo("destroy", queue, "--confirm")
    corvo("queues", queue, code=3)


def test_search_output_is_piped_into_bulk(corvo: Corvo, queue: str) -> None:
    jobs = [enqueue(corvo, queue, json.dumps({"n": n}), "--tag", f"odd={n % 2}") for n in range(4)]
    odd = corvo("search", "--queue", queue, "--tag", "odd=1", "--all", "-o", "jsonl")
    moved = corvo("bulk", "move", f"{queue}.2", "-o", "json", stdin=odd.stdout)
    assert (moved.document["affected"], moved.document["errors"]) == (2, 0)
    moved_ids = corvo("search", "--queue", f"{queue}.2", "--ids", "--order", "asc").stdout.split()
    assert moved_ids == [jobs[1], jobs[3]]
    for form in (("--ids",), ("-o", "json"), ()):
        page = corvo("search", "--payload-jq", ".n >= 2", "--queue", queue, *form).stdout
        assert "Would retry 0 jobs" in corvo("bulk", "retry", "--dry-run", stdin=page).stderr
        assert "Would cancel 1 job" in corvo("bulk", "cancel", "--dry-run", stdin=page).stderr
    matching = ("--queue", queue, "--state", "pending")
    corvo("bulk", "priority", "critical", *matching)
    assert "Cancelled 2 jobs" in corvo("bulk", "cancel", *matching).stderr
    corvo("bulk", "requeue", *jobs)
    corvo("bulk", "retry", "--filter", json.dumps({"queue": queue}))
    bulk_id = corvo("bulk", "delete", "--queue", queue, "--background").stdout.strip()
    ended = corvo("bulk", "status", bulk_id, "--follow", "-o", "json").document
    assert (ended["status"], ended["affected"]) == ("completed", 2)
    assert bulk_id in corvo("bulk", "list").stdout
    assert "completed" in corvo("bulk", "status", bulk_id).stdout
    corvo("bulk", "stop", bulk_id, code=5)
    assert corvo("search", "--queue", queue).stderr == "No job matches.\n"


def test_invalid_filters_are_wrong_usage(corvo: Corvo) -> None:
    assert "--payload-jq: " in corvo("search", "--payload-jq", ".a ==", code=2).stderr
    assert "--created-after: " in corvo("search", "--created-after", "then", code=2).stderr
    corvo("search", "--cursor", "nonsense", code=2)


def test_schedules_are_created_run_and_deleted(corvo: Corvo, queue: str) -> None:
    made = corvo("schedules", "set", queue, "[1]", "--queue", queue, "--cron", "@daily")
    assert "next run:" in made.stdout
    assert queue in corvo("schedules").stdout
    shown = corvo("schedules", "show", queue, "--upcoming", "3", "-o", "json").document
    assert (shown["payload"], len(shown["upcoming"])) == ([1], 3)
    job_id = corvo("schedules", "run", queue).stdout.strip()
    assert corvo("inspect", job_id, "-o", "json").document["queue"] == queue
    corvo("schedules", "pause", queue)
    assert corvo("schedules", "show", queue, "-o", "json").document["paused"] is True
    corvo("schedules", "resume", queue)
    corvo("schedules", "delete", queue)
    corvo("schedules", "show", queue, code=3)
    corvo("schedules", "set", queue, "--queue", queue, "--cron", "nonsense", code=2)


def test_events_are_followed(corvo: Corvo, queue: str, server: CorvoServer) -> None:
    job_id = enqueue(corvo, queue)
    corvo("cancel", job_id)
    backlog = corvo("events", "--queue", queue, "--after", "0", "--limit", "2", "-o", "jsonl")
    assert [event["type"] for event in backlog.documents] == ["enqueued", "cancelled"]
    follower = Process(
        python("-m", "corvo_cli", "events", "--follow", "--job", job_id, "--after", "0"),
        env={"CORVO_SERVER": server.url},
    )
    try:
        follower.wait_for_line(lambda line: "cancelled" in line, "the backlog")
        corvo("retry", job_id)
        follower.wait_for_line(lambda line: "retried" in line, "the new event")
        follower.signal(signal.SIGINT)
        assert follower.wait() == 130
    finally:
        follower.close()


def test_status_info_and_batch(corvo: Corvo, server: CorvoServer) -> None:
    assert server.url in corvo("status").stdout
    assert set(corvo("status", "-o", "json").document) == {"info", "cluster", "queues", "workers"}
    assert corvo("info", "-o", "json").document["api_version"] == "1"
    assert corvo("batch", "batch_01JD3Z9W6V7Q5X8M2N4P6R8T0B", code=3).stdout == ""


def test_audit_shows_who_paused_a_queue(corvo: Corvo, queue: str) -> None:
    corvo("pause", queue)
    shown = corvo("audit", "--queue", queue, "--since", "1d").stdout
    assert "pause_queue" in shown
    assert "is_paused: False > True" in shown
    assert corvo("audit", "--queue", queue, "--until", "1d").stdout == ""


def test_top_shows_the_queues_on_a_terminal(corvo: Corvo, server: CorvoServer, queue: str) -> None:
    enqueue(corvo, queue)
    terminal, child_side = pty.openpty()
    termios.tcsetwinsize(child_side, (200, 150))
    top = subprocess.Popen(
        [sys.executable, "-m", "corvo_cli", "top", "--interval", "200ms"],
        stdin=child_side,
        stdout=child_side,
        stderr=child_side,
        env=clean_environment({"CORVO_SERVER": server.url, "TERM": "xterm-256color"}),
    )
    os.close(child_side)
    try:
        read_until(terminal, queue)
        os.write(terminal, b"q")
        for _ in pieces(terminal):
            pass
        assert top.wait(PATIENCE) == 0
    finally:
        top.kill()
        top.wait()
        os.close(terminal)


def test_batch_is_shown(corvo: Corvo, server: CorvoServer, queue: str) -> None:
    from corvo_client import BatchOptions, Client

    with Client(server.url) as client:
        made = client.enqueue_batch([{"queue": queue}], batch=BatchOptions(callback_queue="done"))
    assert made.batch_id is not None
    assert "ended:      0% of 1" in corvo("batch", made.batch_id).stdout
    assert made.batch_id in corvo("batches", "--state", "running").stdout


def test_server_command_runs_a_server(tmp_path: Path) -> None:
    command = ["-m", "corvo_cli", "server", "--bind", "127.0.0.1:0", "--log-format", "json"]
    process = Process(python(*command, "--data-dir", tmp_path / "data"))
    try:
        line = process.wait_for_line(lambda line: "listening on" in line, "the server listens")
        url = json.loads(line)["url"]
        assert JOB_ID.match(run("enqueue", new_name(), url=url).stdout)
        assert process.stop() == 0
    finally:
        process.close()
    unreachable = run("status", url=url, code=6)
    assert f"Cannot connect to {url}" in unreachable.stderr
    assert "Traceback" not in unreachable.stderr


def test_completion_asks_the_server(corvo: Corvo, queue: str, server: CorvoServer) -> None:
    enqueue(corvo, queue)
    for shell in ("bash", "zsh", "fish"):
        assert "_CORVO_COMPLETE" in corvo("completion", shell).stdout
    words = f"corvo pause {queue[:-2]}"
    asked = subprocess.run(
        [sys.executable, "-m", "corvo_cli"],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=clean_environment(
            {
                "CORVO_SERVER": server.url,
                "_PYTHON__M_CORVO_CLI_COMPLETE": "bash_complete",
                "_CORVO_COMPLETE": "bash_complete",
                "COMP_WORDS": words,
                "COMP_CWORD": "2",
            }
        ),
    )
    assert asked.stdout == f"plain,{queue}\n"


def test_closed_output_ends_the_command_without_an_error(corvo: Corvo, server: CorvoServer) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "corvo_cli", "events", "--after", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment({"CORVO_SERVER": server.url}),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    enqueue(corvo, new_name())
    process.stdout.readline()
    process.stdout.close()

    def has_ended() -> bool:
        enqueue(corvo, new_name())
        return process.poll() is not None

    try:
        wait_blocking(has_ended, "the command has ended after its output was closed")
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_encrypted_jobs(corvo: Corvo, queue: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    made = corvo("codec", "new-key", "--id", "k")
    assert made.stderr == ""
    keys.write_text(made.stdout)
    job_id = enqueue(corvo, queue, '{"to": "Zebra"}', "--codec", str(keys))
    shown = corvo("inspect", job_id, "--codec", str(keys), "-o", "json").document
    assert shown["payload"] == {"to": "Zebra"}
    hidden = corvo("inspect", job_id, "-o", "json")
    assert "Zebra" not in hidden.stdout
    assert hidden.document["payload"]["$corvo_encrypted"]["kid"] == "k"
    # The server can search for the key id, e.g. before an old key is removed.
    found = corvo("search", "--payload-jq", '."$corvo_encrypted".kid == "k"', "--ids")
    assert job_id in found.stdout


@without_keys
def test_keys_are_managed(start_server: StartServer) -> None:
    server = start_server()

    def corvo(*arguments: str, key: str = "", code: int = 0) -> Done:
        return run(*arguments, url=server.url, env={"CORVO_API_KEY": key}, code=code)

    assert "There are no keys" in corvo("keys").stderr
    assert "not needed" in corvo("keys", "status").stdout
    refused = corvo("keys", "create", "w", "--role", "worker", code=5)
    assert "First make a key with the role admin" in refused.stderr

    made = corvo("keys", "create", "admin", "--role", "admin")
    admin = made.stdout.strip()
    assert admin not in made.stderr
    assert "This server needs an API key" in corvo("keys", code=4).stderr
    limits = ("--queues", "a.*", "--expires", "90d")
    text = corvo("keys", "create", "w", "--role", "producer", *limits, key=admin).stdout.strip()
    assert "a.*" in corvo("keys", "status", key=text).stdout
    assert JOB_ID.match(corvo("enqueue", "a.b", key=text).stdout)
    assert "may not use the queue 'b'" in corvo("enqueue", "b", key=text, code=4).stderr
    assert "needs admin" in corvo("keys", "list", key=text, code=4).stderr

    rotated = corvo("keys", "rotate", "w", "--grace", "1h", key=admin).stdout.strip()
    for key in (text, rotated):
        assert JOB_ID.match(corvo("enqueue", "a.b", key=key).stdout)
    corvo("keys", "revoke", "w", key=admin)
    assert "was revoked" in corvo("enqueue", "a.b", key=rotated, code=4).stderr
    listed = corvo("keys", "list", "-o", "jsonl", key=admin)
    assert [key["valid"] for key in listed.documents] == [True, False, False]
    for secret in (admin, text, rotated):
        assert secret not in listed.stdout + "".join(server.lines)


@without_keys
def test_keys_are_made_without_a_server(make_server: StartServer) -> None:
    """The first key of a server is made before its first start."""
    server = make_server()
    create = ("keys", "create", "--name", "admin", "--role", "admin")
    done = subprocess.run(
        [*server_command(server.data_dir, "127.0.0.1:0", server.options), *create],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(),
    )
    key = done.stdout.strip()
    server.start()
    assert run("keys", url=server.url, code=4).stdout == ""
    assert "admin" in run("keys", url=server.url, env={"CORVO_API_KEY": key}).stdout


def test_worker_ends_if_its_key_is_refused(
    start_server: StartServer, tmp_path: Path, queue: str
) -> None:
    server = start_server()
    if not are_keys_used():
        run("keys", "create", "admin", "--role", "admin", url=server.url)
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    wrong = tmp_path / "wrong.key"
    wrong.write_text(new_key().text, encoding="utf-8")
    process = Process(
        python("-m", "corvo_cli", "worker", "tasks:make", "--api-key-file", wrong),
        env={"CORVO_SERVER": server.url, "CORVO_API_KEY": "", "QUEUE": queue},
        cwd=tmp_path,
    )
    try:
        assert process.wait() == 4, process.output
        assert "does not know the API key" in process.output
        assert "Traceback" not in process.output
    finally:
        process.close()


def test_worker_with_its_role_runs_jobs(
    start_server: StartServer, tmp_path: Path, queue: str
) -> None:
    """It may not publish the options of its tasks, says so once, and works."""
    server = start_server()
    admin = os.environ.get("CORVO_API_KEY") if are_keys_used() else None
    if admin is None:
        admin = run("keys", "create", "admin", "--role", "admin", url=server.url).stdout.strip()
    more = {"CORVO_API_KEY": admin}
    key = run("keys", "create", "w", "--role", "worker", url=server.url, env=more).stdout
    (tmp_path / "worker.key").write_text(key, encoding="utf-8")
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    process = Process(
        python("-m", "corvo_cli", "worker", "tasks:make"),
        env={
            "CORVO_SERVER": server.url,
            "CORVO_API_KEY": "",
            "CORVO_API_KEY_FILE": str(tmp_path / "worker.key"),
            "QUEUE": queue,
        },
        cwd=tmp_path,
    )
    try:
        process.wait_for_line(lambda line: "not published" in line, "it says so")
        done = run("enqueue", queue, '{"n": 4}', "--wait", "-o", "json", url=server.url, env=more)
        assert done.document["result"] == {"doubled": 8}
        assert process.stop() == 0
        assert process.output.count("not published") == 1
        assert "Traceback" not in process.output
    finally:
        process.close()


def test_webhooks_are_managed(corvo: Corvo) -> None:
    name, url = new_name("hook"), "https://receiver.example/"
    made = corvo("webhooks", "create", name, url, "--queues", "a.*", "--type", "dead")
    assert made.stdout.startswith("whsec_")
    assert "cannot be shown again" in made.stderr
    corvo("webhooks", "set", name, url, "--tag", "a=b", "--disabled")
    listed = corvo("webhooks", "list", "--output", "json").document
    (found,) = [hook for hook in listed if hook["name"] == name]
    assert (found["tags"], found["queues"], found["enabled"]) == ({"a": "b"}, None, False)
    assert name in corvo("webhooks").stdout
    assert corvo("webhooks", "rotate", name, "--grace", "1d").stdout != made.stdout
    assert "is deleted" in corvo("webhooks", "delete", name).stderr


def test_sources_of_webhooks_are_managed(corvo: Corvo) -> None:
    name = new_name("source")
    secret = corvo(
        *("webhooks", "sources", "create", name, "told", "--form", "token", "--secret-file", "-"),
        *("--tag-header", "event=X-Event", "--id-header", "X-Id", "--signature-header", "X-Token"),
        stdin="0123456789abcdef\n",
    ).stdout
    assert secret == "0123456789abcdef\n"
    listed = corvo("webhooks", "sources", "list", "--output", "json").document
    (found,) = [source for source in listed if source["name"] == name]
    assert found["tag_headers"] == {"event": "x-event"}
    assert name in corvo("webhooks", "sources").stdout
    assert corvo("webhooks", "sources", "rotate", name, "--grace", "1h").stdout != secret
    assert "is deleted" in corvo("webhooks", "sources", "delete", name).stderr


def test_every_command_is_run_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    missing = [name for name in COMMANDS if f'"{name}"' not in source]
    assert not missing
