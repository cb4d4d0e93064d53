"""Raw connections, for requests that no HTTP client would send."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self

from support.api_client import API


class PartialRequest:
    """A request of which the server has the head and half of the body."""

    def __init__(self, port: int, path: str, body: Any) -> None:
        self._port = port
        self._path = path
        self._body = json.dumps(body).encode()
        self._half = len(self._body) // 2

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = (
            f"POST {API}{self._path} HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(self._body)}\r\nExpect: 100-continue\r\n\r\n"
        )
        self._writer.write(head.encode() + self._body[: self._half])
        go_on = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 20)
        assert go_on.startswith(b"HTTP/1.1 100 ")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    async def finish(self) -> tuple[int, Any]:
        """Send the rest of the body. Return the status and the JSON of the response."""
        self._writer.write(self._body[self._half :])
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 20)
        status = int(head.split(b" ", 2)[1])
        lines = head.decode().lower().splitlines()
        (length,) = [line.split(":")[1] for line in lines if line.startswith("content-length:")]
        return status, json.loads(await self._reader.readexactly(int(length)))

    async def end(self) -> bytes:
        """Return all bytes until the server closes the connection."""
        try:
            return await asyncio.wait_for(self._reader.read(), 20)
        except ConnectionResetError:
            return b""
