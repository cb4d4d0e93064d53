"""The TLS of a running server: its certificate is loaded again on request."""

import asyncio
import logging
from datetime import UTC, datetime
from time import time

from corvo_server.certificates import LoadedTls, TlsError, TlsFiles, load_tls
from corvo_server.http.secure import Tls

log = logging.getLogger(__name__)

_SOON = 14 * 86_400
"""Seconds before the end of a certificate from which on a start or reload logs a warning."""


class TlsSource:
    """Loads the files of TLS at the start and on each `reload`."""

    def __init__(self, files: TlsFiles) -> None:
        """Raise `TlsError` if the files cannot be used."""
        self._files = files
        loaded = load_tls(files)
        self.tls = Tls(loaded.context, loaded.expires)
        """What new connections use."""
        self._task: asyncio.Task[None] | None = None
        self._is_asked_again = False
        _warn_if_soon(loaded)

    def reload(self) -> None:
        """Load the files again, without a wait. Open connections go on.

        If a file cannot be used, new connections continue to use what was loaded before.
        """
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        else:
            self._is_asked_again = True

    async def _run(self) -> None:
        try:
            loaded = await asyncio.to_thread(load_tls, self._files)
        except TlsError as error:
            log.error("TLS was not reloaded, the old certificate stays in use. %s", error)  # noqa: TRY400 - of the operator
        else:
            self.tls.context, self.tls.expires = loaded
            log.info("TLS was reloaded: the certificate is valid until %s", _day(loaded.expires))
            _warn_if_soon(loaded)
        finally:
            self._task = None
            if self._is_asked_again:
                self._is_asked_again = False
                self.reload()


def _warn_if_soon(loaded: LoadedTls) -> None:
    if loaded.expires - time() < _SOON:
        log.warning(
            "the TLS certificate expires on %s; renew it and send SIGHUP to this process",
            _day(loaded.expires),
        )


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
