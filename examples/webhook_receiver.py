"""Receives webhooks: checks their signatures, leaves repeats out, and keeps the events in a file.

It needs the standard library only. Run it, then make a webhook that sends to it:

    corvo webhooks create example http://127.0.0.1:9000/ > secret
    python examples/webhook_receiver.py --port 9000 --secret-file secret --events events.jsonl
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOLERANCE = 300
"""Seconds by which the clocks of the sender and the receiver may differ."""
LARGEST_BODY = 1024 * 1024


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Return whether a request is from the sender that has the secret, and recent."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(now - int(timestamp)) > TOLERANCE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = headers.get("webhook-signature", "").split()  # several while a secret is replaced
    return any(hmac.compare_digest(signature, f"v1,{digest}") for signature in given)


class Events:
    """The events that were received, in a file with one JSON object per line."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._seen = set()
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            self._seen = {json.loads(line)["webhook_id"] for line in lines}
        self._file = path.open("a", encoding="utf-8")

    def add(self, message_id: str, body: bytes) -> None:
        """Store an event, unless it was stored before: a sender repeats what is not answered."""
        with self._lock:
            if message_id in self._seen:
                return
            self._file.write(json.dumps({"webhook_id": message_id, **json.loads(body)}) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._seen.add(message_id)


def handler_of(secret: str, events: Events) -> type[BaseHTTPRequestHandler]:
    """Return the class that handles the requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            if length > LARGEST_BODY:
                self.close_connection = True
                return self._answer(413)
            body = self.rfile.read(length)
            if not is_signed(secret, dict(self.headers.items()), body, time.time()):
                return self._answer(401)
            events.add(self.headers["webhook-id"], body)
            return self._answer(204)  # only after the event is stored

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler


def main() -> None:
    """Receive webhooks until the process ends."""
    parser = argparse.ArgumentParser(description="Receive webhooks of Corvo.")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--secret-file", type=Path, required=True)
    parser.add_argument("--events", type=Path, default=Path("events.jsonl"))
    options = parser.parse_args()
    secret = options.secret_file.read_text(encoding="utf-8").strip()
    handler = handler_of(secret, Events(options.events))
    with ThreadingHTTPServer(("127.0.0.1", options.port), handler) as server:
        print(f"receiving at http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
