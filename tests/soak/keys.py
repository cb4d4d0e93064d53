"""API keys of the clients of a soak."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from server_support.process import clean_environment, python
from server_support.waiting import wait_until
from support.api_client import ApiClient

OTHER_QUEUE = "other-soak"
"""A queue that no key but the admin's may use."""
_QUEUES = ["load-*"]


class Keys(NamedTuple):
    """The texts of one key for each role."""

    producer: str
    worker: str
    operator: str


def create_admin_key(data_dir: Path, database_url: str | None) -> str:
    """Create a key without a server. Return its text."""
    place = ("--database", database_url) if database_url else ("--data-dir", data_dir)
    command = python("-m", "corvo_server", *place, "keys", "create", "--name", "soak")
    done = subprocess.run(
        [*command, "--role", "admin"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def new_keys(api: ApiClient, number: int) -> Keys:
    """Create the keys of lap `number`."""
    texts = []
    for role in Keys._fields:
        body = {"name": _name(role, number), "roles": [role], "queues": _QUEUES}
        texts.append((await api.post("/auth/keys", body))["key"])
    return Keys(*texts)


async def revoke_keys(api: ApiClient, number: int) -> None:
    """Revoke the keys of lap `number`."""
    for role in Keys._fields:
        await api.delete(f"/auth/keys/{_name(role, number)}")


async def see_known(urls: Sequence[str], keys: Keys) -> None:
    """Wait until each server knows the keys. Other servers learn of them within a second."""
    await _see_all(urls, keys, known=True)


async def see_revoked(urls: Sequence[str], keys: Keys) -> None:
    """Wait until no server admits the keys."""
    await _see_all(urls, keys, known=False)


async def check_rights(url: str, keys: Keys) -> None:
    """Check that no key may do what only other roles may, and none may use other queues."""
    job = {"queue": "load-a", "payload": None}
    fetch = {"queues": ["load-a"], "worker_id": "stranger", "timeout": 0}
    refused: list[tuple[str | None, int, str, object]] = [
        (keys.producer, 403, "/fetch", fetch),
        (keys.producer, 403, "/enqueue", {**job, "queue": OTHER_QUEUE}),
        (keys.producer, 403, "/queues/load-a/pause", None),
        (keys.worker, 403, "/enqueue", job),
        (keys.worker, 403, "/fetch", {**fetch, "queues": [OTHER_QUEUE]}),
        (keys.operator, 403, "/enqueue", job),
        (keys.operator, 403, "/auth/keys", {"name": "more", "roles": ["admin"]}),
        (None, 401, "/enqueue", job),
    ]
    for key, status, path, body in refused:
        async with ApiClient(url, key=key) as api:
            assert (await api.refused(path, body)).status == status


def _name(role: str, number: int) -> str:
    return f"{role}-{number}"


async def _see_all(urls: Sequence[str], keys: Keys, *, known: bool) -> None:
    async def is_so() -> bool:
        response = await api.send("GET", "/info")
        return response.is_success is known

    for url in urls:
        for key in keys:
            async with ApiClient(url, key=key) as api:
                await wait_until(is_so, "the server has read the keys")
