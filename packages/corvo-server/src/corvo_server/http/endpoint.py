"""The table of endpoints, from which the router and `openapi.json` are made."""

import inspect
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeAlias

from pydantic import BaseModel
from sanic import Blueprint, HTTPResponse, Sanic

from corvo_schema.auth import Role
from corvo_schema.errors import ErrorCode

API_PREFIX = "/api/v1"

App: TypeAlias = "Sanic[Any, Any]"

Handler: TypeAlias = Callable[..., Coroutine[Any, Any, HTTPResponse | None]]


JSON = "application/json"
EVENT_STREAM = "text/event-stream"

_PARAMETER = re.compile(r"<(\w+):\w+>")


ANYONE: frozenset[Role] = frozenset()
"""Roles of an endpoint that needs no key."""
ANY_KEY = frozenset(Role)
ADMIN = frozenset({Role.ADMIN})
"""Admins may call every endpoint, so other sets of roles do not have to name them."""
PRODUCE = frozenset({Role.PRODUCER})
WORK = frozenset({Role.WORKER})
STEER = frozenset({Role.OPERATOR})
SEE = frozenset({Role.OPERATOR, Role.READONLY})
SEE_JOBS = SEE | PRODUCE


def documented(path: str) -> str:
    """Return a route's path as in OpenAPI: `<job_id:str>` becomes `{job_id}`."""
    return _PARAMETER.sub(r"{\1}", path)


class Parameter(NamedTuple):
    """A parameter in the query or a header. Lists are separated by commas."""

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
    roles: frozenset[Role]
    """A caller needs one of these roles, or is an admin. Empty if it needs no key."""
    is_audited: bool = False
    """Whether the audit log records its calls, as the operation with the name of the handler."""
    is_report: bool = False
    """Whether a worker reports about jobs that it runs. The rate limit of a key refuses no report:
    the job would be run again."""

    @property
    def documented_path(self) -> str:
        """The path as in OpenAPI."""
        return documented(self.path)

    @property
    def summary(self) -> str:
        """First line of the handler's docstring."""
        return inspect.cleandoc(self.handler.__doc__ or "").partition("\n")[0]

    @property
    def path_parameters(self) -> list[str]:
        """Names of the path parameters, in the order of the path."""
        return _PARAMETER.findall(self.path)


class Resource:
    """The endpoints of one resource, with `prefix` before their paths."""

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
        roles: frozenset[Role],
        request: type[BaseModel] | None = None,
        replies: dict[int, Any],
        errors: Sequence[ErrorCode] = (),
        parameters: Sequence[Parameter] = (),
        media_type: str = JSON,
        writes: bool | None = None,
        is_audited: bool | None = None,
        is_report: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Serve `method` on `path` to callers with one of `roles`. GET includes HEAD.

        `replies` maps a status to the model of its body, or to None. An event stream has events
        with that model as data. `errors` adds to the codes that every endpoint can return. `writes`
        says whether a call changes data; by default, all methods but GET do. The audit log records
        calls that change data, unless `is_audited` is False.
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
                    roles,
                    is_writing if is_audited is None else is_audited,
                    is_report,
                )
            )
            methods = [method]
            if method == "GET" and media_type != EVENT_STREAM:  # HEAD of a stream would not end
                methods.append("HEAD")
            self.blueprint.add_route(handler, uri, methods=methods, unquote=True)
            return handler

        return register
