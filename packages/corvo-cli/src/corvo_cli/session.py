"""The objects that a command uses: settings, client, output and clock."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeVar

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
"""Seconds that retries may take. A person is waiting, so an error must come within seconds."""

NEEDS_EXTRA = 'Encryption needs an extra. Run: pip install "corvo-cli[encryption]".'


def _now() -> datetime:
    return datetime.now(UTC)


class Session:
    """The state of one run of `corvo`. Settings are read and connections opened on first use.

    Tests replace the network (`transport`, `async_transport`) and the clock (`now`, `monotonic`,
    `sleep`).
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
        """The settings of this run. Raises `click.UsageError` for an invalid setting."""
        return resolve(self.flags, self.environment)

    @cached_property
    def output(self) -> Output:
        """The output for data and messages."""
        return Output(self.settings.output, self.environment)

    @cached_property
    def client(self) -> "corvo_client.Client":
        """The client of the server. Raises `click.UsageError` for an invalid URL or key."""
        policy = corvo_client.RetryPolicy(max_attempts=_MAX_ATTEMPTS, max_elapsed=_MAX_ELAPSED)
        return self._closing.enter_context(self._connect(policy))

    def ask(self, call: "Call[R]") -> "Exact[R]":
        """Make a call. Return the response both parsed and as the bytes received."""
        return self.client.send(corvo_client.calls.exact(call))

    def short_client(self, seconds: float) -> "corvo_client.Client":
        """Return a client with a timeout in seconds and without retries. The caller closes it."""
        return self._connect(corvo_client.NO_RETRIES, seconds)

    def async_client(self) -> "corvo_client.AsyncClient":
        """Return an asyncio client. The caller closes it. Raises `click.UsageError`."""
        with _checked(self.settings):
            return corvo_client.AsyncClient(
                self.settings.server,
                api_key=self.settings.api_key,
                ca_file=self.settings.ca,
                connect_timeout=_CONNECT_TIMEOUT,
                read_timeout=_READ_TIMEOUT,
                transport=self._async_transport,
                codec=self._codec,
            )

    def close(self) -> None:
        """Close the client if it was opened."""
        self._closing.close()

    @cached_property
    def _codec(self) -> "corvo_client.Codec | Literal[False]":
        if not self.settings.codec:
            return False
        try:
            from corvo_client.encryption import codec_from  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise click.UsageError(NEEDS_EXTRA) from error
        return codec_from(self.settings.codec) or False

    def _connect(
        self, policy: "corvo_client.RetryPolicy", seconds: float | None = None
    ) -> "corvo_client.Client":
        with _checked(self.settings):
            return corvo_client.Client(
                self.settings.server,
                api_key=self.settings.api_key,
                ca_file=self.settings.ca,
                connect_timeout=seconds or _CONNECT_TIMEOUT,
                read_timeout=seconds or _READ_TIMEOUT,
                retry=policy,
                transport=self._transport,
                codec=self._codec,
            )


@contextlib.contextmanager
def _checked(settings: Settings) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        source = f" The server is from {settings.server_source}."
        is_named = settings.is_server_chosen and "URL" in str(error)
        raise click.UsageError(f"{error}.{source if is_named else ''}") from error


pass_session = click.make_pass_decorator(Session, ensure=True)
