"""Redirection of all calls of this process to one server, for tests.

The environment variables CORVO_TEST_SERVER and CORVO_TEST_API_KEY name it and its key, so that
processes which a test starts are redirected, too. `corvo_client.testing.redirecting` sets them.
`corvo_client.testing.recording` sets the first one to `recording`: the jobs are in the memory of
the test's process, and other processes reach no server.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

from corvo_client._errors import CorvoError

VARIABLE, KEY_VARIABLE = "CORVO_TEST_SERVER", "CORVO_TEST_API_KEY"

_RECORDING = "recording"
_UNBOUND = ""
_bound: ContextVar[str | None] = ContextVar("corvo_server_of_test", default=_UNBOUND)
"""Redirection under which the current worker was started."""
_outer: list[str | None] = []
"""CORVO_SERVER before each redirection."""


class RedirectEnded(CorvoError):
    """A worker was started before a redirection began or ended. Its calls are refused."""


class NotRecorded(CorvoError):
    """A test records the calls of its own process. Those of other processes are refused."""

    def __init__(self) -> None:
        super().__init__(
            "this process was started by a test that records the jobs of its own process, so this "
            "call reaches no server; enqueue in the test's process, or use the fixture corvo_server"
        )


def target() -> str | None:
    """Return the URL of the server that gets all calls now, or None without a redirection.

    Raises `RedirectEnded` in a worker that was started under another redirection, or under none,
    and `NotRecorded` in a process that a recording test has started.
    """
    if os.environ.get(VARIABLE) == _RECORDING:
        raise NotRecorded
    server, bound = server_of_test(), _bound.get()
    if bound not in (_UNBOUND, server):
        raise RedirectEnded(_refusal(bound, server))
    return server


def server_of_test() -> str | None:
    """Return the URL of the server of the current test, or None without a redirection."""
    value = os.environ.get(VARIABLE)
    return None if value in (None, "", _RECORDING) else value


def environment_server() -> str | None:
    """Return CORVO_SERVER as it is without a redirection."""
    return _outer[0] if _outer else os.environ.get("CORVO_SERVER")


def key_of_test() -> str | None:
    """Return the API key of the server of the current test, if it has one."""
    return os.environ.get(KEY_VARIABLE) or None


@contextmanager
def redirecting(server: str, api_key: str | None = None) -> Iterator[None]:
    """Send all calls of this process, and of processes that it starts, to `server`.

    They have the key `api_key`, except those of a client that was made for `server` itself. This
    holds for clients and tasks that exist already, whatever their URL, proxy or API key. A
    worker that was started before, or that is left running afterwards, reaches no server: its calls
    raise an error until it is stopped. Transports of httpx that stay in memory are not redirected.
    """
    _outer.append(environment_server())
    with _variables({VARIABLE: server, KEY_VARIABLE: api_key or ""}):
        try:
            yield
        finally:
            _outer.pop()


@contextmanager
def recording_here() -> Iterator[None]:
    """Refuse all calls of processes that start now."""
    with _variables({VARIABLE: _RECORDING}):
        yield


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def bound() -> Iterator[None]:
    """Bind the calls of a worker that starts now to the current redirection."""
    token = _bound.set(server_of_test())
    try:
        yield
    finally:
        _bound.reset(token)


def binder() -> Callable[[], object]:
    """Return a function that binds another thread or asyncio task as this one is bound."""
    return partial(_bound.set, _bound.get())


def _refusal(bound: str | None, server: str | None) -> str:
    if bound is None:
        return (
            f"this worker was started before the test, which redirects all calls to {server}; "
            "start the worker inside the test"
        )
    return (
        f"this worker was started in a test with the server {bound}, and that test has ended; "
        "stop the worker before the test ends, e.g. with `async with worker:`"
    )
