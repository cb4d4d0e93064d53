"""A TCP proxy before a database that loses what one side sends."""

import socket
import threading
from collections.abc import Callable
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
        self._threads: list[threading.Thread] = []

    def restore(self) -> None:
        """Pass everything on again."""
        self.loses_answers = self.loses_requests = self.is_away = False

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._listener)
        self._threads[0].join()  # it accepts no connection any more
        _end(*self._sockets)
        for thread in self._threads:
            thread.join()
        # Not before: another thread may still use the number of a closed socket.
        for item in (self._listener, *self._sockets):
            item.close()

    def _start(self, run: Callable[..., None], *sockets: socket.socket) -> None:
        thread = threading.Thread(target=run, args=sockets, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener has ended
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                if self.is_away:
                    _end(client)
                    continue
                database = socket.create_connection(self._target)
                self._sockets.append(database)
                self._start(self._pump_requests, client, database)
                self._start(self._pump_answers, client, database)

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
