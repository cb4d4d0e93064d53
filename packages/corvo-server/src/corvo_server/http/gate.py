"""Admits requests: finds their caller by the API key, and compares its roles with the endpoint's.

A request is admitted when its head has arrived, so that a stranger's body is not read.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache
from time import monotonic

from sanic import Request

from corvo_schema.auth import Role
from corvo_schema.errors import ErrorCode
from corvo_server.auth.caller import (
    ANONYMOUS,
    STRANGER,
    Caller,
    Origin,
    set_caller,
    set_origin,
)
from corvo_server.auth.rates import Rates
from corvo_server.engine.errors import CallError
from corvo_server.engine.keys import Keys
from corvo_server.http.endpoint import API_PREFIX, Endpoint
from corvo_server.http.proxies import client_address
from corvo_server.http.request_id import request_id

_MAX_FAILURES = 20
"""Number of wrong keys from one address within a window after which further ones get 429."""
_WINDOW = 60.0
"""Seconds."""
_MAX_ADDRESSES = 10_000
METRICS = f"{API_PREFIX}/metrics"
_BEARER = "bearer"
_ADMITTED = "_corvo_admitted"
_HOW = "Send it as the header Authorization: Bearer <key>, or as X-API-Key: <key>."


class Failures:
    """Counts wrong keys by address. The addresses that failed last are kept."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` returns seconds."""
        self._clock = clock
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """Start of the window, and number of failures within it, by address."""

    def __len__(self) -> int:
        """Return the number of known addresses."""
        return len(self._counts)

    def clear(self) -> None:
        """Forget all failures."""
        self._counts.clear()

    def note(self, address: str) -> int | None:
        """Count a failure. Return after how many seconds to try again if there were too many."""
        now = self._clock()
        start, count = self._counts.pop(address, (now, 0))
        if now - start >= _WINDOW:
            start, count = now, 0
        self._counts[address] = start, count + 1
        if len(self._counts) > _MAX_ADDRESSES:
            self._counts.popitem(last=False)
        return None if count < _MAX_FAILURES else max(1, round(start + _WINDOW - now))


class Gate:
    """Admits the requests of one server."""

    def __init__(
        self,
        keys: Keys,
        endpoints: Iterable[Endpoint],
        failures: Failures | None = None,
        rates: Rates | None = None,
        *,
        are_metrics_open: bool = False,
    ) -> None:
        self._keys = keys
        self._are_metrics_open = are_metrics_open
        self._endpoints = {(item.method, item.path): item for item in endpoints}
        self.failures = Failures() if failures is None else failures
        self.rates = Rates() if rates is None else rates

    def admit(self, request: Request) -> None:
        """Set the caller of a request. Raise `CallError` if it is not admitted.

        A second call for the same request does nothing, nor does one for a path without a route.
        """
        if request.ctx.__dict__.get(_ADMITTED):
            return
        endpoint = self._endpoint_of(request)
        if endpoint is None:
            return
        found = self._caller_of(request, endpoint)
        if found.max_rate is not None and not endpoint.is_report:
            self._take_token(found.name, found.max_rate)
        if not found.may(endpoint.roles) and not self._is_open(endpoint):
            raise _forbidden(found, endpoint)
        set_caller(found)
        if endpoint.is_audited:
            set_origin(Origin(client_address(request), request_id(request)))
        request.ctx.__dict__[_ADMITTED] = True

    def _endpoint_of(self, request: Request) -> Endpoint | None:
        if request.route is None:
            return None
        method = "GET" if request.method == "HEAD" else request.method
        return self._endpoints[method, f"/{request.route.path}"]

    def _caller_of(self, request: Request, endpoint: Endpoint) -> Caller:
        if not self._keys.are_required:
            return ANONYMOUS
        text = key_of(request)
        if text is not None:
            return self._authenticated(request, text)
        if not self._is_open(endpoint):
            raise CallError(ErrorCode.UNAUTHORIZED, f"This server needs an API key. {_HOW}")
        return STRANGER

    def _is_open(self, endpoint: Endpoint) -> bool:
        return not endpoint.roles or (self._are_metrics_open and endpoint.path == METRICS)

    def _take_token(self, name: str, rate: int) -> None:
        seconds = self.rates.take(name, rate)
        if seconds is not None:
            expected = f"at most {rate} requests a second for the API key {name!r}"
            raise CallError(
                ErrorCode.OVERLOADED,
                f"max_rate: {expected}. Nothing was done. Try again in {seconds} s, or send "
                "several jobs in one request. An admin can make a key with other limits.",
                [("max_rate", expected)],
                retry_after=seconds,
            )

    def _authenticated(self, request: Request, text: str) -> Caller:
        try:
            return self._keys.authenticate(text)
        except CallError as error:
            address = client_address(request)
            seconds = self.failures.note(address)
            if seconds is None:
                raise
            raise CallError(
                ErrorCode.OVERLOADED,
                f"There were too many calls with a wrong API key from {address}. Try again in "
                f"{seconds} seconds. The last reason: {error.message}",
                retry_after=seconds,
            ) from None


def key_of(request: Request) -> str | None:
    """Return the API key of a request; None without one. Raise `CallError` if it has several."""
    headers = request.headers
    return _key_in(
        tuple(headers.getall("authorization", ())), tuple(headers.getall("x-api-key", ()))
    )


@lru_cache(maxsize=1024)  # clients repeat their headers
def _key_in(authorizations: tuple[str, ...], keys: tuple[str, ...]) -> str | None:
    found = {key.strip() for key in keys}
    for value in authorizations:
        scheme, _, token = value.strip().partition(" ")
        if scheme and scheme.lower() != _BEARER:
            raise CallError(
                ErrorCode.UNAUTHORIZED,
                f"The header Authorization must have the scheme Bearer. {_HOW}",
            )
        found.add(token.strip())
    found.discard("")
    if len(found) > 1:
        raise CallError(
            ErrorCode.UNAUTHORIZED,
            "The request has different API keys in its headers. Send one key, in one header.",
        )
    return next(iter(found), None)


def _forbidden(found: Caller, endpoint: Endpoint) -> CallError:
    has = ", ".join(sorted(found.roles)) or "none"
    needed = " or ".join(sorted({*endpoint.roles, Role.ADMIN}))
    return CallError(
        ErrorCode.FORBIDDEN,
        f"The API key {found.name!r} may not do this: it has the role {has}, and "
        f"{endpoint.method} {endpoint.documented_path} needs {needed}.",
    )
