"""A Sanic application that runs the slow part of a request in a worker.

pip install corvo-client sanic
sanic sanic_app:app                     the application
corvo worker sanic_app:worker           its worker, in another process

Each process of Sanic has one `AsyncClient`, which concurrent requests share.
"""

from typing import Any, TypeAlias

from sanic import HTTPResponse, Request, Sanic
from sanic.response import json

from corvo_client import AsyncClient
from corvo_client.worker import Worker

App: TypeAlias = "Sanic[Any, Any]"

worker = Worker()
app: App = Sanic("shop")


@worker.task("thumbnails.make")
def make_thumbnail(image: str, width: int = 200) -> str:
    """Make the thumbnail. This example only returns its name."""
    return f"{image}@{width}"


@app.before_server_start
async def open_client(app: App) -> None:
    """Open a client in each process of Sanic. It connects to CORVO_SERVER."""
    app.ctx.corvo = AsyncClient()


@app.after_server_stop
async def close_client(app: App) -> None:
    """Finish the open calls and close the client."""
    await app.ctx.corvo.close()


@app.post("/images/<name:str>")
async def upload(request: Request, name: str) -> HTTPResponse:
    """Accept an image and enqueue a job that makes its thumbnail."""
    reply = await request.app.ctx.corvo.enqueue("thumbnails.make", {"image": name, "width": 100})
    return json({"job_id": reply.job_id}, status=202)
