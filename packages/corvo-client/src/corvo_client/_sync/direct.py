# Generated from src/corvo_client/_async/direct.py by scripts/gen_sync.py. Do not edit.
"""Calls over connections of our own.

A request through httpx takes several times as much CPU as the server spends on an enqueue. Most
programs only need a request, an answer and a connection that stays open.
"""

import time
from typing import Any

from corvo_client._answer import Answer
from corvo_client._call import Call, left
from corvo_client._http1 import BrokenAnswer, write_request
from corvo_client._idle import Idle
from corvo_client._origin import Origin, ServerAddress
from corvo_client._sync.connection import Connection, Semaphore


class Direct:
    """Sends calls. At most `max_connections` (None: any number) are in flight at a time.

    Raises `TransportError` when no answer arrives.
    """

    def __init__(self, origin: Origin, max_connections: int | None) -> None:
        self._origin = origin
        self._idle: Idle[Connection] = Idle()
        self._limit = None if max_connections is None else Semaphore(max_connections)
        self._is_closed = False

    def send(self, call: Call[Any]) -> Answer:
        """Send one call and return its answer."""
        started = time.monotonic()
        if self._limit is None:
            return self._send(call, started)
        if not self._limit.acquire(timeout=self._origin.silence_timeout(call)):
            raise self._origin.busy(call, self._origin.server)
        try:
            return self._send(call, started)
        finally:
            self._limit.release()

    def close(self) -> None:
        """Close the idle connections now, and each busy one when its exchange ends."""
        self._is_closed = True
        self._idle.close()

    def _send(self, call: Call[Any], started: float) -> Answer:
        origin = self._origin
        server = origin.server
        connection = self._idle.take(server) or self._connect(
            server, left(origin.connect_timeout, call, started)
        )
        try:
            reading = connection.exchange(
                write_request(call, server), left(origin.silence_timeout(call), call, started)
            )
        except TimeoutError as error:
            connection.close()
            raise origin.silent(call, server) from error
        except (OSError, BrokenAnswer) as error:
            connection.close()
            raise origin.lost(call, server, error) from error
        except BaseException:
            connection.close()  # another call would read the rest of this answer
            raise
        if reading.keeps_alive and not self._is_closed:
            self._idle.keep(connection)
        else:
            connection.close()
        answer = reading.answer
        origin.note(answer.status, server)
        return answer

    def _connect(self, server: ServerAddress, timeout: float) -> Connection:
        try:
            return Connection.open(server, self._origin, timeout)
        except OSError as error:
            raise self._origin.unreachable(server, error) from error
