"""The table of endpoints: what the router serves and what `openapi.json` describes is one thing."""

import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from pydantic import BaseModel
from sanic import Blueprint, HTTPResponse, Request, Sanic

from corvo_schema.errors import ErrorCode
from corvo_server.engine.engine import Engine

API_PREFIX = "/api/v1"

App: TypeAlias = "Sanic[Any, Any]"

Handler: TypeAlias = Callable[..., Coroutine[Any, Any, HTTPResponse | None]]


class Endpoint(NamedTuple):
    """One method on one path."""

    method: str
    path: str
    handler: Handler
    request: type[BaseModel] | None
    replies: dict[int, Any]
    errors: Sequence[ErrorCode]

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return inspect.cleandoc(self.handler.__doc__ or "").partition("\n")[0]


class Resource:
    """The endpoints of one resource, all below the API prefix unless `prefix` says otherwise."""

    def __init__(self, name: str, *, prefix: str = API_PREFIX) -> None:
        self.name = name
        self.blueprint = Blueprint(name)
        self.endpoints: list[Endpoint] = []
        self._prefix = prefix

    def endpoint(
        self,
        method: str,
        path: str,
        *,
        request: type[BaseModel] | None = None,
        replies: dict[int, Any],
        errors: Sequence[ErrorCode] = (),
    ) -> Callable[[Handler], Handler]:
        """Serve `method` on `path` by the decorated handler.

        `replies` has the model (or None for no body) by status; `errors`, what this endpoint
        refuses with, beside what every endpoint may answer.
        """

        def register(handler: Handler) -> Handler:
            uri = self._prefix + path
            self.endpoints.append(Endpoint(method, uri, handler, request, replies, errors))
            self.blueprint.add_route(handler, uri, methods=[method], unquote=True)
            return handler

        return register


def engine_of(request: Request) -> Engine:
    """The engine that serves this request."""
    return cast("Engine", request.app.ctx.engine)
