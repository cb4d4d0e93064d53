"""The page on the architecture names the files that each request really passes."""

import re
from pathlib import Path
from typing import Any

import pytest

from corvo_server.engine.engine import Engine
from corvo_server.store.sqlite.store import SqliteStore
from server_support import http
from server_support.bench import until
from server_support.walk import Walk, walking

PAGE = Path(__file__).parents[4] / "docs" / "architecture.md"
MOST = {"enqueue": 20, "fetch": 26, "ack": 21}
"""Files of the server until the row is written: fewer is better."""

pytestmark = pytest.mark.skipif(
    not PAGE.exists(), reason="the documentation is not part of the package"
)


def section(name: str) -> set[str]:
    """The files of the table between the marks of a walk."""
    text = PAGE.read_text(encoding="utf-8")
    (table,) = re.findall(rf"<!-- walk: {name} -->\n(.*?)<!-- /walk -->", text, re.DOTALL)
    return set(re.findall(r"^\| `([\w/]+\.py)` \|", table, re.MULTILINE))


async def walk_of(walk: Walk, connection: http.Connection, path: str, body: Any) -> http.Reply:
    with walk.recording() as files:
        await connection.send(http.request("POST", f"/api/v1{path}", body))
        reply = await connection.receive()
        await until(lambda: "corvo_server/http/metrics.py" in files)  # noted after the reply
    return reply


async def test_the_walks_are_as_the_page_tells(tmp_path: Path) -> None:
    found: dict[str, set[str]] = {}
    with walking() as walk:
        store = SqliteStore(tmp_path)
        store.watch.close()  # the walk records all threads, and its thread serves no request
        async with http.serve(Engine(store)) as server:
            connection = await server.connect()
            for _ in range(2):  # imports and caches of the first round are no part of the walk
                job = {"queue": "emails", "payload": {"to": "ada@example.com"}}
                await walk_of(walk, connection, "/enqueue", job)
                found["enqueue"] = set(walk.files)
                fetch = {"queues": ["emails"], "worker_id": "w", "timeout": 0}
                fetched = await walk_of(walk, connection, "/fetch", fetch)
                found["fetch"] = set(walk.files)
                ack = {"lease_token": fetched.json["lease_token"], "result": None}
                done = await walk_of(walk, connection, f"/ack/{fetched.json['job_id']}", ack)
                assert done.status == 200
                found["ack"] = set(walk.files)
        await store.close()
    after = section("after")
    for name, files in found.items():
        until_written = section(name)
        ours = {file for file in files if file.startswith("corvo_server/")}
        told = {f"corvo_server/{file}" for file in until_written | after}
        assert ours - told == set(), f"not on the page, {name}"
        assert {f"corvo_server/{file}" for file in until_written} - ours == set(), name
        assert len(until_written) <= MOST[name]
