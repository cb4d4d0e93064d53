"""A Sanic server whose only handler reads the body and answers: the cost of HTTP alone.

python -m corvo_bench.ceilings.sanic_server
"""

import asyncio
import socket

from sanic import HTTPResponse, Request, Sanic
from sanic.response import raw

from corvo_bench.ceilings.answer import ANSWER, announce
from corvo_bench.load.raw_connection import run_loop

app = Sanic("trivial", configure_logging=False)


@app.post("/api/v1/enqueue")
async def enqueue(request: Request) -> HTTPResponse:
    """Read the body and answer."""
    del request
    return raw(ANSWER, 201, content_type="application/json")


async def _serve() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    announce(listener.getsockname()[1])
    server = await app.create_server(
        sock=listener, return_asyncio_server=True, access_log=False, debug=False
    )
    if server is None:
        raise RuntimeError("Sanic created no server")
    await server.startup()
    await server.start_serving()
    await asyncio.Event().wait()


if __name__ == "__main__":
    run_loop(_serve)
