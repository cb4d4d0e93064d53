"""Fixtures that run the command line against a fake server, without a network or a clock."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from corvo_cli.root import corvo as command
from corvo_cli.session import Session
from corvo_cli.show.output import Output

NOW = datetime(2026, 1, 31, 8, 0, 0, tzinfo=UTC)
JOB_ID = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV"
JOB: dict[str, Any] = {
    "id": JOB_ID,
    "queue": "emails",
    "state": "pending",
    "payload": {"to": "ada@example.com"},
    "priority": "high",
    "attempt": 0,
    "max_retries": 3,
    "created_at": "2026-01-31T07:58:30.250Z",
}

Answer = httpx.Response | BaseException


class FakeServer:
    """A server with planned responses by verb and path. The last response repeats."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.has_no_queues = False
        """Whether reads without a planned response get 404."""
        self._answers: dict[str, list[Answer]] = {}

    def answer(self, line: str, body: Any = None, status: int = 200, **headers: str) -> None:
        """Plan a response to e.g. `GET /queues`. A body that is not bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        response = httpx.Response(status, content=content, headers=names)
        self._answers.setdefault(line, []).append(response)

    def refuse(self, line: str, status: int, code: str, error: str = "No.", **more: Any) -> None:
        """Plan an error response of the protocol."""
        self.answer(line, {"error": error, "code": code, "request_id": "req-1", **more}, status)

    def fail(self, line: str, error: BaseException) -> None:
        """Plan a connection error."""
        self._answers.setdefault(line, []).append(error)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        planned = self._answers.get(line_of(request))
        if planned is None and self.has_no_queues and request.method == "GET":
            return httpx.Response(404, json={"error": "No.", "code": "NOT_FOUND"})
        assert planned, f"unexpected: {line_of(request)}"
        answer = planned.pop(0) if len(planned) > 1 else planned[0]
        if isinstance(answer, BaseException):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    @property
    def lines(self) -> list[str]:
        """The verbs and paths of the received requests."""
        return [line_of(request) for request in self.requests]

    @property
    def bodies(self) -> list[Any]:
        """The bodies of the received requests as parsed JSON; None for an empty body."""
        return [json.loads(r.content) if r.content else None for r in self.requests]


def line_of(request: httpx.Request) -> str:
    path = request.url.raw_path.decode().removeprefix("/api/v1")
    return f"{request.method} {path}"


class FakeClock:
    """A clock that advances only when it sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds


Run = Callable[..., Result]


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of `corvo`, without the configuration of the user who runs the tests."""
    return {"CORVO_CONFIG": str(tmp_path / "config.toml")}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = ("CODEC_KEYS", "CODEC_KEYS_FILE", "CODEC_REQUIRE")
    names = ("SERVER", "API_KEY", "CA_FILE", "PROFILE", "OUTPUT", *codec)
    for name in (*(f"CORVO_{name}" for name in names), "NO_COLOR"):
        monkeypatch.setenv(name, "")  # `corvo worker` sets CORVO_SERVER: restore it afterwards
        monkeypatch.delenv(name)


@pytest.fixture
def make_session(
    server: FakeServer, clock: FakeClock, environment: dict[str, str]
) -> Callable[[], Session]:
    return lambda: Session(
        transport=httpx.MockTransport(server),
        environment=environment,
        now=lambda: NOW,
        monotonic=clock.monotonic,
        sleep=clock.sleep,
    )


@pytest.fixture
def corvo(make_session: Callable[[], Session]) -> Run:
    """Run `corvo` with these arguments."""

    def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(command, arguments, input=stdin, obj=make_session())
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make stdout a terminal that is 80 columns wide."""
    monkeypatch.setattr(Output, "is_terminal", property(lambda _self: True))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def job() -> dict[str, Any]:
    return json.loads(json.dumps(JOB))  # type: ignore[no-any-return]
