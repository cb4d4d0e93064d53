"""The image starts on the data of each earlier release, and all data is unchanged.

`scripts/make_data_dir.py` created the data, together with the responses of the old server. The
tests compare only the fields of the old responses, because a later server may add fields.
"""

import gzip
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from corvo_client import Client
from server_support.waiting import wait_blocking
from support.container import CorvoContainer, DockerClient, MakeContainer, put_file

DATA = Path(__file__).parent / "data"
RELEASES = sorted(path.name.removesuffix(".db.gz") for path in DATA.glob("*.db.gz"))
KEEP_ALL = {f"CORVO_RETAIN_{what}": "0s" for what in ("COMPLETED", "DEAD", "EVENTS")}
UNCHANGED_JOBS = (
    "scheduled", "pending", "second", "completed", "retrying", "dead", "cancelled",
    "batch job", "scheduled job",
)  # fmt: skip
AGES = {"oldest_pending_at", "oldest_pending_ms"}

Documents = dict[str, Any]


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def old(release: str) -> Documents:
    """The responses of the old server."""
    documents: Documents = json.loads((DATA / f"{release}.json").read_text(encoding="utf-8"))
    return documents


@pytest.fixture
def container(
    daemon: DockerClient, image: str, volume: str, release: str, make_container: MakeContainer
) -> CorvoContainer:
    """A running server of this image on the old data."""
    database = gzip.decompress((DATA / f"{release}.db.gz").read_bytes())
    put_file(daemon, image, volume, "corvo.db", database)
    return make_container(env=KEEP_ALL).start()


@pytest.fixture
def client(container: CorvoContainer) -> Iterator[Client]:
    with container.client() as client:
        yield client


def test_data_of_a_release_exists() -> None:
    assert RELEASES


def test_jobs_are_unchanged(client: Client, old: Documents) -> None:
    for name in UNCHANGED_JOBS:
        was = old["jobs"][name]
        assert _same(client.get_job(was["id"]), was) == was, name


def test_active_job_is_fetched_again(client: Client, old: Documents) -> None:
    was = old["jobs"]["active"]
    ends_at = datetime.fromisoformat(was["lease_expires_at"])
    if datetime.now(UTC) < ends_at:  # within a day after the data was created
        assert client.get_job(was["id"]).state == "active"
        return
    again = client.fetch(["q-active"], worker_id="w", timeout=30)
    assert again is not None
    assert (again.job_id, again.attempt, again.checkpoint) == (was["id"], 2, was["checkpoint"])
    assert datetime.now(UTC) - ends_at > timedelta(0)


def test_queues_keep_their_settings(client: Client, old: Documents) -> None:
    queues = {queue.name: queue for queue in client.list_queues()}
    assert set(queues) == set(old["queues"])
    for name in ("q-second", "q-pending"):
        was = {key: value for key, value in old["queues"][name].items() if key not in AGES}
        assert _same(queues[name], was) == was


def test_schedule_is_unchanged_and_continues(client: Client, old: Documents) -> None:
    was = old["schedule"]
    assert _same(client.get_schedule("new-year", upcoming=0), was) == was
    client.resume_schedule("new-year")
    (next_run,) = client.upcoming_runs("new-year", 1)
    assert next_run > datetime.now(UTC)


def test_batch_continues_to_its_callback(client: Client, old: Documents) -> None:
    was = old["batch"]
    assert _same(client.get_batch(was["id"]), was) == was
    last = client.fetch(["q-batch"], worker_id="w", timeout=10)
    assert last is not None
    client.ack(last)
    callback = client.fetch(["q-callback"], worker_id="w", timeout=10)
    assert callback is not None
    assert callback.payload["succeeded"] == 3
    assert callback.payload["payload"] == {"report": 1}


def test_all_events_are_kept(client: Client, old: Documents) -> None:
    was = old["events"]
    with closing(client.follow_events(after=0)) as events:
        now = list(islice(events, len(was)))
    assert [_same(event, then) for event, then in zip(now, was, strict=True)] == was


def test_unique_keys_are_still_taken(client: Client, old: Documents) -> None:
    was = old["jobs"]["pending"]
    taken_until = datetime.fromisoformat(was["created_at"]) + timedelta(hours=1)
    again = client.enqueue("q-pending", {}, unique_key="one")
    assert again.unique_existing is (datetime.now(UTC) < taken_until)


def test_database_has_no_problems(container: CorvoContainer) -> None:
    wait_blocking(
        lambda: container.run("corvo-server", "check")[0] == 0, "the check finds no problems"
    )
    assert '"level":"error"' not in container.log
    assert container.stop()[0] == 0


def _same(model: Any, was: Documents) -> Documents:
    """Return the fields of the model that the old response has, too."""
    now: Documents = model.model_dump(mode="json")
    return {name: value for name, value in now.items() if name in was}
