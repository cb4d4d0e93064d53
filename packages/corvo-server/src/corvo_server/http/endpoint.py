"""The table of endpoints: what the router serves and what `openapi.json` describes is one thing."""

import inspect
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from pydantic import BaseModel
from sanic import Blueprint, HTTPResponse, Request, Sanic

from corvo_schema.errors import ErrorCode
from corvo_server.engine.engine import Engine

API_PREFIX = "/api/v1"

App: TypeAlias = "Sanic[Any, Any]"

Handler: TypeAlias = Callable[..., Coroutine[Any, Any, HTTPResponse | None]]


JSON = "application/json"
EVENT_STREAM = "text/event-stream"

_PARAMETER = re.compile(r"<(\w+):\w+>")


def documented(path: str) -> str:
    """A route's path as documentation writes it: with `{job_id}` for `<job_id:str>`."""
    return _PARAMETER.sub(r"{\1}", path)


class Parameter(NamedTuple):
    """What may be said beside path and body. A list is written with commas."""

    name: str
    description: str
    schema: dict[str, Any]
    is_required: bool = False
    place: str = "query"


class Endpoint(NamedTuple):
    """One method on one path."""

    method: str
    path: str
    handler: Handler
    request: type[BaseModel] | None
    replies: dict[int, Any]
    errors: Sequence[ErrorCode]
    parameters: Sequence[Parameter]
    media_type: str
    writes: bool

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return inspect.cleandoc(self.handler.__doc__ or "").partition("\n")[0]

    @property
    def path_parameters(self) -> list[str]:
        """Their names, in the order of the path."""
        return _PARAMETER.findall(self.path)


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
        parameters: Sequence[Parameter] = (),
        media_type: str = JSON,
        writes: bool | None = None,
    ) -> Callable[[Handler], Handler]:
        """Serve `method` on `path` by the decorated handler; with GET comes HEAD.

        `replies` has the model (or None for no body) by status, and `media_type` is what they are
        sent as: events have the model as their data. `errors` are what this endpoint refuses with,
        beside what every endpoint may answer. Whatever is no GET `writes`, if it does not say so.
        """
        is_writing = method != "GET" if writes is None else writes

        def register(handler: Handler) -> Handler:
            uri = self._prefix + path
            self.endpoints.append(
                Endpoint(
                    method,
                    uri,
                    handler,
                    request,
                    replies,
                    errors,
                    parameters,
                    media_type,
                    is_writing,
                )
            )
            methods = [method]
            if method == "GET" and media_type != EVENT_STREAM:  # a stream has only its body
                methods.append("HEAD")
            self.blueprint.add_route(handler, uri, methods=methods, unquote=True)
            return handler

        return register


def engine_of(request: Request) -> Engine:
    """The engine that serves this request."""
    return cast("Engine", request.app.ctx.engine)
