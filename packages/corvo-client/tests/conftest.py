"""Fixtures for both clients: a server with planned answers."""

import json
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from corvo_client._async import transport as async_transport
from corvo_client._async.through_httpx import AsyncThroughHttpx
from corvo_client._sync import transport as sync_transport
from corvo_client._sync.through_httpx import ThroughHttpx

Answering = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class FakeServer:
    """A handler of httpx that returns planned answers in order and records requests."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: deque[Answering] = deque()

    def answer(self, status: int = 200, body: Any = None, **headers: str) -> None:
        """Plan the next answer. A body that is not bytes is encoded as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self._answers.append(httpx.Response(status, content=content, headers=names))

    def refuse(self, status: int, code: str, error: str = "no", **headers: str) -> None:
        """Plan an error answer."""
        self.answer(status, {"error": error, "code": code, "request_id": "req-1"}, **headers)

    def then(self, answering: Answering) -> None:
        """Plan an exception or a function that returns the answer."""
        self._answers.append(answering)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answering = self._answers.popleft()
        if isinstance(answering, Exception):
            raise answering
        return answering if isinstance(answering, httpx.Response) else answering(request)

    @property
    def bodies(self) -> list[Any]:
        """Bodies of the requests as JSON; None for an empty body."""
        return [json.loads(r.content) if r.content else None for r in self.requests]

    @property
    def lines(self) -> list[str]:
        """Verbs and paths of the requests."""
        return [f"{r.method} {r.url.raw_path.decode()}" for r in self.requests]


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Replace all new connections with a handler of httpx."""

    def replace(handler: Callable[[httpx.Request], Any]) -> None:
        backend = httpx.MockTransport(handler)
        for module, name, sender in (
            (sync_transport, "Direct", ThroughHttpx),
            (async_transport, "AsyncDirect", AsyncThroughHttpx),
        ):
            make = partial(sender, backend=backend, is_for_polls=False)
            monkeypatch.setattr(module, name, lambda origin, _limit, make=make: make(origin))

    return replace


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CORVO_CODEC_KEYS", "CORVO_CODEC_KEYS_FILE", "CORVO_CODEC_REQUIRE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CORVO_SERVER", "CORVO_API_KEY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
