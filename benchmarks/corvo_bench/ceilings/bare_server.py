"""A bare socket that gives every request the same answer: the limit of the load generator.

python -m corvo_bench.ceilings.bare_server
"""

import asyncio
from typing import cast

from corvo_bench.ceilings.answer import ANSWER, announce
from corvo_bench.load.raw_connection import run_loop

_REPLY = (
    b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
) % (len(ANSWER), ANSWER)


class _Bare(asyncio.Protocol):
    """Answer each chunk as one request, because the requests of this benchmark are small."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(_REPLY)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Bare, "127.0.0.1", 0)
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    run_loop(_serve)
