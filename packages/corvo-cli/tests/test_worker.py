"""`corvo worker`: importing the worker, and the options that override its settings."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corvo_cli.exits import ExitCode
from corvo_client import Client
from corvo_client.worker import Worker

ONE = """
from corvo_client.worker import Worker
worker = Worker("http://in-the-code", concurrency=3)
alias = worker

@worker.task("emails")
def send(): ...

@worker.task("reports")
def report(): ...

def make():
    return worker

class app:
    worker = worker

number = 7
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with the code of an application."""
    (tmp_path / "one.py").write_text(ONE, encoding="utf-8")
    plain = ONE.replace('"http://in-the-code", ', "")
    (tmp_path / "plain.py").write_text(plain, encoding="utf-8")
    (tmp_path / "two.py").write_text(
        "from corvo_client.worker import Worker\na = Worker()\nb = Worker()\n", encoding="utf-8"
    )
    (tmp_path / "none.py").write_text("", encoding="utf-8")
    (tmp_path / "idle.py").write_text(
        "from corvo_client.worker import Worker\nw = Worker()\n", encoding="utf-8"
    )
    (tmp_path / "lacking.py").write_text("import not_there_at_all\n", encoding="utf-8")
    (tmp_path / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    (tmp_path / "choosy.py").write_text("raise ValueError('no')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    """The workers that the command ran. Running a worker only adds it to this list."""
    runs: list[Worker] = []

    def run(worker: Worker, *, log_level: str) -> None:
        runs.append(worker)

    monkeypatch.setattr(Worker, "run", run)
    return runs


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize("target", ["one", "one:worker", "one:alias", "one:make", "one:app.worker"])
def test_worker_is_found(corvo: Any, runs: list[Worker], target: str) -> None:
    result = corvo("worker", target)
    assert result.exit_code == 0
    [worker] = runs
    assert worker.concurrency == 3
    assert list(worker._served_tasks()) == ["emails", "reports"]
    assert worker._server._origin.url == "http://in-the-code"


@pytest.mark.usefixtures("code")
def test_options_override_the_code(corvo: Any, runs: list[Worker]) -> None:
    result = corvo(
        *("worker", "one", "--concurrency", "50", "--queues", "reports, emails"),
        *("--server", "http://elsewhere:1", "--api-key", "k"),
    )
    assert result.exit_code == 0
    [worker] = runs
    assert worker.concurrency == 50
    assert list(worker._served_tasks()) == ["reports", "emails"]
    origin = worker._server._origin
    assert origin.url == "http://elsewhere:1"
    assert dict(origin.server.headers)[b"Authorization"] == b"Bearer k"


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("options", "variable", "with_url", "without_url"),
    [
        (["--server", "option:1"], "environment:2", "http://option:1", "http://option:1"),
        (["--profile", "p"], "environment:2", "http://profile:3", "http://profile:3"),
        ([], "environment:2", "http://in-the-code", "http://environment:2"),
        ([], "", "http://in-the-code", "http://profile:3"),
    ],
)
def test_server_is_that_of_the_option_the_code_the_environment_or_the_profile(
    corvo: Any,
    runs: list[Worker],
    environment: dict[str, str],
    options: list[str],
    variable: str,
    with_url: str,
    without_url: str,
) -> None:
    """The worker, its tasks, and clients in its code that name no server."""
    Path(environment["CORVO_CONFIG"]).write_text(
        'profile = "p"\n[profiles.p]\nserver = "http://profile:3"\napi_key = "k"\n'
    )
    environment["CORVO_SERVER"] = variable
    for module, expected in (("one", with_url), ("plain", without_url)):
        assert corvo("worker", module, *options).exit_code == 0
        server = runs.pop()._server
        assert server._origin.url == expected
        assert server._sync_session._transport._origin is server._origin
        key = dict(server._origin.server.headers).get(b"Authorization")
        assert key == (b"Bearer k" if expected == "http://profile:3" else None)
        with Client() as client:
            assert client.base_url == without_url


@pytest.mark.usefixtures("code")
def test_an_invalid_variable_ends_a_worker_with_a_sentence(
    corvo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Worker, **_: Any) -> None:
        asyncio.run(asyncio.wait_for(self.run_async(), 10))

    monkeypatch.setattr(Worker, "run", run)
    monkeypatch.setenv("CORVO_RETRY_SECONDS", "soon")
    result = corvo("worker", "one")
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.startswith("Error: CORVO_RETRY_SECONDS must be a number of seconds")


@pytest.mark.usefixtures("code")
def test_log_level_is_set(corvo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[str] = []
    monkeypatch.setattr(Worker, "run", lambda _self, *, log_level: levels.append(log_level))
    assert corvo("worker", "one", "--log-level", "debug").exit_code == 0
    assert corvo("worker", "one").exit_code == 0
    assert levels == ["DEBUG", "INFO"]


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "There is no module 'nowhere' in the current directory or installed."),
        (["nowhere.at.all"], "There is no module 'nowhere' in the current directory or installed."),
        (["one.part"], "There is no module 'one.part' in the current directory or installed."),
        (["one.py"], "'one.py' is a file name. Give the name of the module: one."),
        ([""], "'' is not a module name."),
        ([".one"], "'.one' is not a module name."),
        (["one:nothing"], "Module one has no attribute 'nothing'."),
        (["one:app.nothing"], "Module one has no attribute 'app.nothing'."),
        (["one:number"], "one:number is of type int."),
        (["none"], "Module none defines no Worker."),
        (["two"], "Module two has several workers. Choose one: two:a or two:b."),
        (["idle"], "The worker has no task for any queue."),
        (["one", "--queues", "emails,other"], "The worker has no task for other."),
        (["one", "--concurrency", "0"], "'0' is not a whole number of at least 1."),
        ([], "Missing argument 'MODULE[:WORKER]'"),
    ],
)
def test_invalid_argument_is_wrong_usage(
    corvo: Any, runs: list[Worker], arguments: list[str], message: str
) -> None:
    result = corvo("worker", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not runs


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("target", "error"),
    [("lacking", ModuleNotFoundError), ("broken", ZeroDivisionError), ("choosy", ValueError)],
)
def test_exception_of_the_code_is_raised(corvo: Any, target: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        corvo("worker", target)
