"""Certificates for tests, and sockets that speak TLS with a server."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import trustme

from corvo_server.certificates import TlsFiles, load_tls
from corvo_server.http.secure import Tls


class Authority:
    """An authority of the test, which writes certificates into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority = trustme.CA()
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(
        self,
        name: str = "server",
        identities: Sequence[str] = ("127.0.0.1", "localhost"),
        *,
        common_name: str | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        **more: Any,
    ) -> tuple[Path, Path]:
        """Write a new certificate and its key, replacing those of the same name."""
        issued = self._authority.issue_cert(
            *identities,
            common_name=common_name,
            not_before=not_before,
            not_after=not_after,
            **more,
        )
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        return cert, key

    def tls(self, **files: Any) -> Tls:
        """Return the TLS of a server with a new certificate."""
        return Tls(*load_tls(TlsFiles(*self.issue(), **files)))

    def client_context(self, certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """Return the context of a client that trusts this authority."""
        context = ssl.create_default_context(cafile=self.file)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return context


class TlsClient:
    """A client that can do what no TLS client of Python does: end its side, and break off."""

    def __init__(self, link: socket.socket, context: ssl.SSLContext) -> None:
        self.link = link
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    @classmethod
    async def connect(
        cls, port: int, context: ssl.SSLContext, *, receive_bytes: int | None = None
    ) -> Self:
        """Connect and shake hands; `receive_bytes` is about what it takes before a test reads."""
        link = socket.socket()
        link.setblocking(False)
        if receive_bytes is not None:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await asyncio.get_running_loop().sock_connect(link, ("127.0.0.1", port))
        client = cls(link, context)
        try:
            await client.shake_hands()
        except BaseException:
            link.close()
            raise
        return client

    async def shake_hands(self) -> None:
        """Do the handshake."""
        while True:
            try:
                self.session.do_handshake()
            except ssl.SSLWantReadError:
                await self._send()
                if not await self._receive():
                    raise ConnectionResetError from None
            else:
                await self._send()
                return

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.session.write(data)
        await self._send()

    async def end(self) -> None:
        """Say that no more bytes follow (close_notify). The connection stays open."""
        with suppress(ssl.SSLWantReadError):
            self.session.unwrap()
        await self._send()

    async def read(self, size: int = 65536) -> bytes:
        """Return some bytes, at most `size`; none at the end that the server has announced.

        Raise ConnectionResetError if the connection ends without that.
        """
        while True:
            try:
                return self.session.read(size)
            except ssl.SSLZeroReturnError:  # both sides have ended
                return b""
            except ssl.SSLWantReadError:
                if not await self._receive():
                    raise ConnectionResetError from None

    async def read_all(self) -> bytes:
        """Return all bytes until the end."""
        data = b""
        while piece := await self.read():
            data += piece
        return data

    def break_off(self) -> None:
        """Reset the connection, as when the machine was cut off."""
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.link.close()

    async def _send(self) -> None:
        await asyncio.get_running_loop().sock_sendall(self.link, self._outgoing.read())

    async def _receive(self) -> bool:
        data = await asyncio.get_running_loop().sock_recv(self.link, 4096)
        self._incoming.write(data)
        return bool(data)
