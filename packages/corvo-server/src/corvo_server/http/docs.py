"""Endpoints of the API's description: `GET /openapi.json`, and `GET /docs` as one HTML page."""

from html import escape
from typing import Any

import orjson
from sanic import HTTPResponse, Request

from corvo_server.http.endpoint import ANY_KEY, Resource
from corvo_server.http.replies import reply

resource = Resource("docs")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} {version}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }}
code, pre {{ font: 14px/1.4 ui-monospace, monospace; }}
pre {{ overflow: auto; padding: .75rem; border: 1px solid #8885; border-radius: .4rem; }}
details {{ border-bottom: 1px solid #8885; padding: .4rem 0; }}
summary {{ cursor: pointer; }}
.method {{ display: inline-block; width: 4.5rem; font-weight: 600; }}
</style></head><body>
<h1>{title} <small>{version}</small></h1>
<p>{description} Machine-readable: <a href="openapi.json">openapi.json</a>.</p>
{operations}
<h2>Schemas</h2>
{schemas}
</body></html>
"""


@resource.endpoint("GET", "/openapi.json", roles=ANY_KEY, replies={200: dict[str, Any]})
async def openapi(request: Request) -> HTTPResponse:
    """Return the OpenAPI description of this server."""
    return reply(request.app.ctx.openapi)


@resource.endpoint("GET", "/docs", roles=ANY_KEY, replies={200: str}, media_type="text/html")
async def docs(request: Request) -> HTTPResponse:
    """Return the OpenAPI description as an HTML page."""
    return HTTPResponse(render(request.app.ctx.openapi), content_type="text/html; charset=utf-8")


def render(description: dict[str, Any]) -> str:
    """Return the HTML page of an OpenAPI description. It loads no other resources."""
    operations = [
        _operation(method, path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"{_json(schema)}</details>"
        for name, schema in sorted(description["components"]["schemas"].items())
    ]
    info = {name: escape(text) for name, text in description["info"].items()}
    return _PAGE.format(operations="\n".join(operations), schemas="\n".join(schemas), **info)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    head = f'<span class="method">{method.upper()}</span><code>{escape(path)}</code>'
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    request_body = f"<p>Body:</p>{_json(body['schema'])}" if body else ""
    answers = "".join(
        f"<p><b>{status}</b> {escape(answer['description'])}</p>"
        + "".join(_json(media["schema"]) for media in answer.get("content", {}).values())
        for status, answer in operation["responses"].items()
    )
    return (
        f"<details><summary>{head} {escape(operation['summary'])}</summary>"
        f"{request_body}{answers}</details>"
    )


def _json(value: Any) -> str:
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return f"<pre>{escape(text)}</pre>"
