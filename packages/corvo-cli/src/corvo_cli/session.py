"""What a command works with: the server it talks to, the output it prints to, the clock."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import click

import corvo_client
from corvo_cli.settings import Flags, Settings, resolve
from corvo_cli.show.output import Output

if TYPE_CHECKING:
    from httpx import AsyncBaseTransport, BaseTransport

    from corvo_client.calls import Call, Exact

R = TypeVar("R")

_CONNECT_TIMEOUT = 5.0
_READ_TIMEOUT = 30.0
_MAX_ATTEMPTS = 4
_MAX_ELAPSED = 10.0
"""Somebody is waiting: an answer within seconds, be it that there is none."""


def _now() -> datetime:
    return datetime.now(UTC)


class Session:
    """One run of `corvo`. Nothing is read or opened before it is needed.

    `transport` and `async_transport` replace the network; `now`, `monotonic` and `sleep` the clock.
    """

    def __init__(
        self,
        *,
        transport: "BaseTransport | None" = None,
        async_transport: "AsyncBaseTransport | None" = None,
        environment: Mapping[str, str] | None = None,
        now: Callable[[], datetime] = _now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.flags = Flags()
        self.environment = os.environ if environment is None else environment
        self.now = now
        self.monotonic = monotonic
        self.sleep = sleep
        self._transport = transport
        self._async_transport = async_transport
        self._closing = contextlib.ExitStack()

    @cached_property
    def settings(self) -> Settings:
        """The settings that hold. Raises `click.UsageError`."""
        return resolve(self.flags, self.environment)

    @cached_property
    def output(self) -> Output:
        """Where results go."""
        return Output(self.settings.output, self.environment)

    @cached_property
    def client(self) -> "corvo_client.Client":
        """The connection to the server. Raises `click.UsageError` for a URL or key that is none."""
        policy = corvo_client.RetryPolicy(max_attempts=_MAX_ATTEMPTS, max_elapsed=_MAX_ELAPSED)
        return self._closing.enter_context(self._connect(policy))

    def ask(self, call: "Call[R]") -> "Exact[R]":
        """Make a call; the reply comes as a value and as the bytes that were sent."""
        return self.client.send(corvo_client.calls.exact(call))

    def short_client(self, seconds: float) -> "corvo_client.Client":
        """Return a connection for something that is worth so many seconds and no second try."""
        return self._connect(corvo_client.NO_RETRIES, seconds)

    def async_client(self) -> "corvo_client.AsyncClient":
        """Return a connection for an event loop; close it. Raises `click.UsageError`."""
        with _checked():
            return corvo_client.AsyncClient(
                self.settings.server,
                api_key=self.settings.api_key,
                connect_timeout=_CONNECT_TIMEOUT,
                read_timeout=_READ_TIMEOUT,
                transport=self._async_transport,
            )

    def close(self) -> None:
        """Close the connection, if there is one."""
        self._closing.close()

    def _connect(
        self, policy: "corvo_client.RetryPolicy", seconds: float | None = None
    ) -> "corvo_client.Client":
        with _checked():
            return corvo_client.Client(
                self.settings.server,
                api_key=self.settings.api_key,
                connect_timeout=seconds or _CONNECT_TIMEOUT,
                read_timeout=seconds or _READ_TIMEOUT,
                retry=policy,
                transport=self._transport,
            )


@contextlib.contextmanager
def _checked() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise click.UsageError(f"{error}.") from error


pass_session = click.make_pass_decorator(Session, ensure=True)
