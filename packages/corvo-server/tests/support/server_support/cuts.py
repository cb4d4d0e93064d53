"""A TCP proxy before a database that loses what one side sends."""

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class CutProxy:
    """Passes connections on to a database until a test cuts them.

    `loses_answers`: the database gets what is sent, but its answers are dropped and the connection
    ends. `loses_requests`: the connection ends when the server sends something. `is_away`: new
    connections end at once.
    """

    def __init__(self, url: str) -> None:
        """Prepare a proxy before the database at `url`."""
        parts = urlsplit(url)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        place = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=place))
        self.loses_answers = False
        self.loses_requests = False
        self.is_away = False
        self._sockets: list[socket.socket] = []

    def restore(self) -> None:
        """Pass everything on again."""
        self.loses_answers = self.loses_requests = self.is_away = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._listener, *self._sockets)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                if self.is_away:
                    _end(client)
                    continue
                database = socket.create_connection(self._target)
                self._sockets.append(database)
                for pump in (self._pump_requests, self._pump_answers):
                    threading.Thread(target=pump, args=(client, database), daemon=True).start()

    def _pump_requests(self, client: socket.socket, database: socket.socket) -> None:
        with suppress(OSError):
            while (data := client.recv(65536)) and not self.loses_requests:
                database.sendall(data)
        _end(client, database)

    def _pump_answers(self, client: socket.socket, database: socket.socket) -> None:
        with suppress(OSError):
            while (data := database.recv(65536)) and not self.loses_answers:
                client.sendall(data)
        _end(client, database)


def _end(*sockets: socket.socket) -> None:
    for item in sockets:
        with suppress(OSError):
            item.shutdown(socket.SHUT_RDWR)
        item.close()
