"""The third-party SDKs with an API key, in both headers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compat.sdk_process import MakeSdk, Raised, StartWorker
from corvo_client import Client
from server_support.engines import NewStorage
from server_support.waiting import wait_blocking
from support.server import CorvoServer

HEADERS = pytest.mark.parametrize("option", ["bearer_token", "api_key"])


@pytest.fixture
def keyed(tmp_path: Path, new_storage: NewStorage) -> Iterator[CorvoServer]:
    """A server of which only the test makes keys."""
    server = CorvoServer(tmp_path / "data", new_storage()).start()
    yield server
    server.stop()
    server.close()
    assert not server.errors()


@pytest.fixture
def admin(keyed: CorvoServer) -> Iterator[Client]:
    with Client(keyed.url) as client:
        key = client.create_key("admin", roles=["admin"]).key
    with Client(keyed.url, api_key=key) as client:
        yield client


@HEADERS
def test_client_uses_its_key(
    keyed: CorvoServer, admin: Client, make_sdk: MakeSdk, option: str
) -> None:
    key = admin.create_key("c", roles=["producer", "worker"], queues=["a.*"]).key
    options: dict[str, Any] = {"base_url": keyed.url, option: key}
    sdk = make_sdk(**options)
    job_id = sdk.enqueue("a.b", {"n": 1})["job_id"]
    assert sdk.fetch(["a.b"], "w", timeout=0)["job_id"] == job_id
    sdk.ack(job_id)
    assert sdk.get_job(job_id)["state"] == "completed"
    for name, *arguments in (("enqueue", "b", {}), ("cancel_job", job_id)):
        with pytest.raises(Raised, match="API key"):
            sdk.call(name, *arguments)
    with pytest.raises(Raised, match="needs an API key"):
        make_sdk(base_url=keyed.url).enqueue("a.b", {})


@HEADERS
def test_worker_uses_its_key(
    keyed: CorvoServer, admin: Client, start_worker: StartWorker, option: str
) -> None:
    key = admin.create_key("w", roles=["worker"]).key
    worker = start_worker("a", client={"base_url": keyed.url, option: key})
    job_id = admin.enqueue("a", {}).job_id
    wait_blocking(lambda: admin.get_job(job_id).state == "completed", "the job is completed")
    assert worker.jobs_that("started") == [job_id]
    assert key not in "".join(keyed.lines)
