"""Encrypted jobs with a real server: what it sees and stores, and what workers make of them."""

import asyncio
import importlib
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import aclosing, suppress
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

pytest.importorskip("cryptography")

from corvo_client import (
    AckItem,
    AsyncClient,
    BatchOptions,
    CannotDecode,
    Client,
    EncryptionCodec,
    FailItem,
    HeartbeatJob,
    Job,
    PayloadTooLarge,
    Progress,
    RawJson,
    ReleaseItem,
    ValidationFailed,
    calls,
    new_job_id,
)
from corvo_client.encryption import new_key
from corvo_client.worker import Context, Worker
from server_support.waiting import wait_until
from support.api_client import new_name
from support.server import CorvoServer, StartServer

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
NAME = "$corvo_encrypted"
SECRET = "Zebra-4111"

codec = EncryptionCodec({"new": NEW, "old": OLD})

HANDLERS = """
import os
from corvo_client.worker import Context, Worker

worker = Worker()


@worker.task("again")
def again(secret: str) -> None: ...


def handle(context: Context, secret: str) -> dict:
    context.checkpoint({"seen": secret})
    again.enqueue(secret)
    return {"secret": secret, "pid": os.getpid()}
"""


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    name = "encrypted_handlers_of_the_integration_tests"
    (tmp_path / f"{name}.py").write_text(HANDLERS)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(name)
    del sys.modules[name]


async def ended(client: AsyncClient, job_id: str) -> Job:
    async def job() -> Job | None:
        found = await client.get_job(job_id)
        return found if found.state in {"completed", "dead", "cancelled"} else None

    return await wait_until(job, "the job has ended")


def command_lines() -> bytes:
    """Return the command lines of all processes."""
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            found += path.read_bytes()
    return found


async def stored(client: AsyncClient, job_id: str) -> Any:
    async with AsyncClient(client.base_url, codec=False) as plain:
        return (await plain.get_job(job_id)).payload


def make_worker(url: str, queue: str, **options: Any) -> Worker:
    worker = Worker(url, codec=options.pop("codec", codec), poll_timeout=1)

    @worker.task(queue, retry_backoff="none", **options)
    async def handle(context: Context, secret: str) -> dict[str, Any]:
        if context.attempt == 1:
            context.checkpoint({"checkpoint": SECRET})
            context.progress(1, 2, f"message {SECRET}")
            raise ValueError(f"error {SECRET}")
        return {"result": secret, "checkpoint": context.last_checkpoint, "all": context.payload}

    return worker


async def test_no_plain_text_reaches_the_server_its_files_or_its_log(
    start_server: StartServer,
) -> None:
    server = start_server(log_level="debug")
    queue = new_name()
    worker = make_worker(server.url, queue)
    async with worker, AsyncClient(server.url, codec=codec) as client:
        job_id = (await client.enqueue(queue, {"secret": SECRET})).job_id
        enqueued_by_task = await worker.tasks[queue].aenqueue(secret=SECRET)
        batch = await client.enqueue_batch(
            [{"queue": queue, "payload": {"secret": SECRET}} for _ in range(3)],
            batch=BatchOptions(callback_queue="callbacks", callback_payload={"for": SECRET}),
        )
        await client.put_schedule("s", queue="later", cron="@yearly", payload={"secret": SECRET})
        await client.run_schedule("s")
        for one in (job_id, enqueued_by_task.job_id, *batch.job_ids):
            job = await ended(client, one)
            assert job.state == "completed"
            assert job.payload == {"secret": SECRET}
            assert job.checkpoint == {"checkpoint": SECRET}
            assert job.result == {
                "result": SECRET,
                "checkpoint": {"checkpoint": SECRET},
                "all": {"secret": SECRET},
            }
            assert job.errors[0].error == f"ValueError: error {SECRET}"
            assert SECRET in str(job.errors[0].backtrace)
            failed = [event for event in job.timeline if event.type == "retrying"]
            assert failed[0].data["error"] == f"ValueError: error {SECRET}"
        assert (await client.get_schedule("s")).payload == {"secret": SECRET}
        assert [each.payload for each in await client.list_schedules()] == [{"secret": SECRET}]
        (scheduled,) = (await client.search(queue="later")).jobs
        assert scheduled.payload == {"secret": SECRET}
        callback = await client.fetch(["callbacks"], worker_id="w", timeout=20)
        assert callback is not None
        assert callback.payload["payload"] == {"for": SECRET}
        assert callback.payload["succeeded"] == 3
        found = await client.get_job(callback.job_id)
        assert found.payload == callback.payload
        await client.ack(callback, {"done": SECRET})
        assert (await client.get_job(callback.job_id)).result == {"done": SECRET}
        async with httpx.AsyncClient(base_url=server.url) as raw:
            pages = [
                (await raw.post("/api/v1/jobs/search", json={})).text,
                (await raw.get(f"/api/v1/jobs/{job_id}")).text,
                (await raw.get("/api/v1/schedules")).text,
                (await raw.get("/api/v1/metrics")).text,
            ]
        assert NAME in pages[0]
    assert server.stop() == 0
    files = {path: path.read_bytes() for path in server.data_dir.rglob("*") if path.is_file()}
    if server.database in files:  # not on PostgreSQL
        assert NAME.encode() in files[server.database]
    hidden = SECRET.encode()
    assert [path for path, content in files.items() if hidden in content] == []
    assert [line for line in [*server.lines, *pages] if SECRET in line] == []


async def test_every_report_of_a_client_is_encrypted(server: CorvoServer, queue: str) -> None:
    plain = AsyncClient(server.url, codec=False)
    async with plain, AsyncClient(server.url, codec=codec) as client:
        for n in range(6):
            await client.enqueue(queue, RawJson(f'{{"n":{n},"x":1.50}}'))
        jobs = await client.fetch_batch([queue], worker_id="w", count=6)
        assert [job.payload["n"] for job in jobs] == [*range(6)]
        acked, failed, released, beating, one, two = jobs
        beat = HeartbeatJob(
            lease_token=beating.lease_token,
            checkpoint=[SECRET],
            progress=Progress(current=1, message=SECRET),
        )
        await client.heartbeat({beating.job_id: beat}, worker_id="w")
        token = {"lease_token": acked.lease_token}
        await client.ack_batch([AckItem(job_id=acked.job_id, result=SECRET, **token)])
        token = {"lease_token": failed.lease_token}
        await client.fail_batch([FailItem(job_id=failed.job_id, error=SECRET, **token)])
        token = {"lease_token": released.lease_token}
        item = ReleaseItem(job_id=released.job_id, checkpoint=SECRET, **token)
        await client.release_batch([item])
        await client.release(one, checkpoint=[SECRET])
        await client.fail(two, ValueError(SECRET), retry=False)
        ids = [job.job_id for job in jobs]
        seen = await client.bulk_get(ids)
        hidden = await plain.bulk_get(ids)
    assert [SECRET in job.model_dump_json() for job in seen] == [True] * 6
    assert [SECRET in job.model_dump_json() for job in hidden] == [False] * 6
    by_id = {job.id: job for job in seen}
    assert by_id[beating.job_id].progress == beat.progress
    assert by_id[beating.job_id].checkpoint == [SECRET]
    assert by_id[one.job_id].checkpoint == [SECRET]
    assert SECRET in str(by_id[two.job_id].errors[0].backtrace)


async def test_a_repeated_enqueue_makes_one_job(server: CorvoServer, queue: str) -> None:
    job_id = new_job_id()
    for _ in range(2):  # two processes
        async with AsyncClient(server.url, codec=EncryptionCodec({"new": NEW})) as client:
            reply = await client.enqueue(queue, {"a": 1}, job_id=job_id)
            assert (reply.job_id, reply.status) == (job_id, "pending")


async def test_a_replaced_and_a_moved_job_can_be_decrypted(server: CorvoServer, queue: str) -> None:
    async with AsyncClient(server.url, codec=codec) as client:
        job_id = (await client.enqueue(queue, 1, unique_key="k")).job_id
        await client.enqueue(queue, 2, unique_key="k", on_conflict="replace")
        await client.move_job(job_id, f"{queue}-2")
        job = await client.fetch([f"{queue}-2"], worker_id="w")
        assert job is not None
        assert (job.job_id, job.payload) == (job_id, 2)


async def test_numbers_keep_their_notation(server: CorvoServer, queue: str) -> None:
    text = '{"a":1.50,"b":1e400,"c":123456789012345678901234567890,"d":"\\u00e9"}'
    async with AsyncClient(server.url, codec=codec) as client:
        job_id = (await client.enqueue(queue, RawJson(text))).job_id
        exact = await client.send(calls.exact(calls.get_job(job_id)))
        assert text.encode() in exact.body
        assert NAME in json.dumps(await stored(client, job_id))


async def test_a_job_without_its_key_is_retried_until_a_worker_has_it(
    server: CorvoServer, queue: str
) -> None:
    async with AsyncClient(server.url, codec=EncryptionCodec({"old": OLD})) as producer:
        job_id = (await producer.enqueue(queue, {"secret": SECRET}, retry_backoff="none")).job_id
    new_only = EncryptionCodec({"new": NEW})
    async with AsyncClient(server.url, codec=codec) as client:
        async with make_worker(server.url, queue, codec=new_only):

            async def has_failed() -> bool:
                return bool((await client.get_job(job_id)).errors)

            await wait_until(has_failed, "an attempt has failed")
        async with make_worker(server.url, queue, max_retries=20):
            job = await ended(client, job_id)
    assert job.errors[0].error.startswith(
        "the payload is encrypted with the key 'old', which this process does not have (it has new)"
    )
    assert job.errors[0].backtrace is None


async def test_an_unreadable_job_does_not_disturb_the_others(
    server: CorvoServer, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncClient(server.url, codec=EncryptionCodec({"old": OLD})) as producer:
        lost = (await producer.enqueue(queue, {"secret": SECRET}, max_retries=1)).job_id
    async with AsyncClient(server.url, codec=EncryptionCodec({"new": NEW})) as client:
        fine = (await client.enqueue(queue, {"secret": SECRET})).job_id
        jobs = await client.fetch_batch([queue], worker_id="w", count=2)
        assert [job.job_id for job in jobs] == [fine]
        assert (await client.get_job(lost)).state == "dead"
        await client.retry_job(lost)
        with pytest.raises(CannotDecode, match="the key 'old'"):
            await client.fetch([queue], worker_id="w")
        # Readers see what is stored: an operator must be able to find and delete the job.
        caplog.clear()
        with caplog.at_level(logging.WARNING, "corvo.client"):
            found = (await client.search(queue=queue)).jobs
        assert [NAME in job.payload for job in found] == [job.id == lost for job in found]
        assert "the payload is encrypted with the key 'old'" in caplog.text
        assert SECRET not in caplog.text


async def test_documents_of_other_jobs_are_refused(server: CorvoServer, queue: str) -> None:
    async with (
        AsyncClient(server.url, codec=False) as attacker,
        AsyncClient(server.url, codec=codec) as client,
    ):
        first = (await client.enqueue(queue, 1)).job_id
        job = await client.fetch([queue], worker_id="w")
        assert job is not None
        await client.release(job, checkpoint="of the first")
        sealed = (await attacker.get_job(first)).checkpoint
        await client.fetch([queue], worker_id="w")
        second = (await client.enqueue(queue, 2)).job_id
        job = await attacker.fetch([queue], worker_id="w")
        assert job is not None
        assert job.job_id == second
        await attacker.release(job, checkpoint=sealed)
        with pytest.raises(CannotDecode, match="belongs to another job"):
            await client.fetch([queue], worker_id="w")


@pytest.mark.parametrize("requires", [False, True])
async def test_plain_jobs_run_unless_encryption_is_required(
    server: CorvoServer, queue: str, *, requires: bool
) -> None:
    async with (
        AsyncClient(server.url, codec=False) as plain,
        make_worker(server.url, queue, codec=EncryptionCodec({"new": NEW}, require=requires)),
    ):
        job_id = (await plain.enqueue(queue, {"secret": "s"}, max_retries=2)).job_id
        job = await ended(plain, job_id)
    assert job.state == ("dead" if requires else "completed")
    if requires:
        async with AsyncClient(server.url, codec=codec) as client:
            error = (await client.get_job(job_id)).errors[-1].error
        assert error == ("the payload is not encrypted, and the codec of this process requires it")


async def test_tasks_without_arguments_run_where_encryption_is_required(
    server: CorvoServer, queue: str
) -> None:
    worker = Worker(server.url, codec=EncryptionCodec({"new": NEW}, require=True), poll_timeout=1)

    @worker.task(queue)
    async def nothing() -> int:
        return 1

    async with worker, AsyncClient(server.url, codec=codec) as client:
        await ended(client, (await nothing.aenqueue()).job_id)
        job = await ended(client, (await client.enqueue(queue)).job_id)
        assert (job.state, job.payload, job.result) == ("completed", {}, 1)


async def test_a_sealed_document_is_not_enqueued_again(server: CorvoServer, queue: str) -> None:
    async with AsyncClient(server.url, codec=codec) as client:
        job_id = (await client.enqueue(queue, 1)).job_id
        with pytest.raises(ValidationFailed, match="the payload is encrypted already"):
            await client.enqueue(queue, await stored(client, job_id))


async def test_a_too_large_envelope_is_explained(server: CorvoServer, queue: str) -> None:
    async with AsyncClient(server.url, codec=codec) as client:
        with pytest.raises(PayloadTooLarge, match="a third larger than the plain ones"):
            await client.enqueue(queue, "x" * 200_000)


async def test_long_errors_are_cut_before_they_are_encrypted(
    server: CorvoServer, queue: str
) -> None:
    async with AsyncClient(server.url, codec=codec) as client:
        await client.enqueue(queue, 1)
        job = await client.fetch([queue], worker_id="w")
        assert job is not None
        text = "é" * 30_000
        await client.fail(job, text, backtrace=text * 2, retry=False)
        (error,) = (await client.get_job(job.job_id)).errors
        assert error.error.startswith("ééé")
        assert "characters left out" in error.error
        assert "characters left out" in str(error.backtrace)
        (dead,) = [e for e in (await client.get_job(job.job_id)).timeline if e.type == "dead"]
        assert dead.data["error"].startswith("an encrypted error that the event log has cut")


async def test_events_are_decrypted(server: CorvoServer, queue: str) -> None:
    async with AsyncClient(server.url, codec=codec) as client:
        job_id = (await client.enqueue(queue, 1, max_retries=1)).job_id
        job = await client.fetch([queue], worker_id="w")
        assert job is not None
        await client.fail(job, SECRET)
        async with (
            asyncio.timeout(30),
            aclosing(client.follow_events(job_ids=job_id, types="dead", after=0)) as events,
        ):
            async for event in events:
                assert event.data["error"] == SECRET
                break


async def test_handlers_in_processes_get_the_keys_from_the_environment(
    server: CorvoServer,
    queue: str,
    handlers: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = new_key("env")
    path = tmp_path / "keys"
    path.write_text(key)
    monkeypatch.setenv("CORVO_CODEC_KEYS_FILE", str(path))
    monkeypatch.setenv("CORVO_SERVER", server.url)
    worker = Worker(processes=1, poll_timeout=1)
    task = worker.task(queue, executor="process")(handlers.handle)
    assert task.queue == queue
    async with worker, AsyncClient() as client:
        job = await ended(client, (await client.enqueue(queue, {"secret": SECRET})).job_id)
        assert job.result["secret"] == SECRET
        assert job.checkpoint == {"seen": SECRET}
        assert key.partition(":")[2].encode() not in await asyncio.to_thread(command_lines)
        newest = (await client.search(queue="again", limit=1)).jobs[0]
        assert newest.payload == {"secret": SECRET}
        assert NAME in json.dumps(await stored(client, newest.id))


def test_the_sync_client_encrypts(server: CorvoServer, queue: str) -> None:
    with Client(server.url, codec=codec) as client, Client(server.url, codec=False) as plain:
        job_id = client.enqueue(queue, {"secret": SECRET}).job_id
        assert client.get_job(job_id).payload == {"secret": SECRET}
        assert NAME in plain.get_job(job_id).payload
        job = client.fetch([queue], worker_id="w")
        assert job is not None
        assert job.payload == {"secret": SECRET}
        client.ack(job)


async def test_keys_rotate_while_jobs_wait(server: CorvoServer, queue: str) -> None:
    """Every step of the rotation in the documentation, each with jobs of the step before."""
    rings = [
        EncryptionCodec({"old": OLD}),
        EncryptionCodec({"old": OLD, "new": NEW}),
        EncryptionCodec({"new": NEW, "old": OLD}),
        EncryptionCodec({"new": NEW}),
    ]
    used = []
    for number, (before, after) in enumerate(pairwise(rings)):
        async with AsyncClient(server.url, codec=before) as producer:
            job_id = (await producer.enqueue(queue, {"n": number})).job_id
            used.append((await stored(producer, job_id))[NAME]["kid"])
        async with AsyncClient(server.url, codec=after) as consumer:
            job = await consumer.fetch([queue], worker_id="w")
            assert job is not None
            assert job.payload == {"n": number}
            await consumer.ack(job, number)
        # Processes of the step before read what those of the next step write.
        async with AsyncClient(server.url, codec=before) as reader:
            assert (await reader.get_job(job_id)).result == number
    assert used == ["old", "old", "new"]
