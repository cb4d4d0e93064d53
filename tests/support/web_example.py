"""Runs the applications of `examples` as their documentation says."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from server_support.process import Process, python
from server_support.waiting import wait_until
from support.server import CorvoServer

EXAMPLES = Path(__file__).parents[2] / "examples"


@asynccontextmanager
async def web_example(server: CorvoServer, *command: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run an example that serves HTTP. A free port replaces `{port}` in its command."""
    # This socket reserves the port. The program can listen on the port because of SO_REUSEADDR.
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    port = reserved.getsockname()[1]
    arguments = [part.replace("{port}", str(port)) for part in command]
    process = Process(python("-m", *arguments), env={"CORVO_SERVER": server.url}, cwd=EXAMPLES)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web:

            async def answers() -> bool:
                try:
                    await web.get("/nowhere")
                except httpx.TransportError:
                    assert process.is_running, process.output
                    return False
                return True

            await wait_until(answers, "the application answers")
            yield web
        assert await asyncio.to_thread(process.stop) in {0, -15}, process.output
    finally:
        process.close()
        reserved.close()
