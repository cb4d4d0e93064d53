"""The fsync of the write-ahead log fails: the server does not say that nothing was done.

SQLite has written the whole transaction to the log by then. A server that is killed before its next
commit recovers it.
"""

import pytest

from corvo_client import AsyncClient, OutcomeUnknown, RetryPolicy
from corvo_schema import new_job_id
from support.api_client import ApiClient, Body, refusal_of
from support.faults.injection import LOG, Call, Injection
from support.server import CorvoServer

pytestmark = pytest.mark.sqlite

_TRIES = 5


async def test_job_of_unknown_outcome_may_be_there_after_a_kill(
    injected_server: CorvoServer, injection: Injection
) -> None:
    statuses = []
    for _ in range(_TRIES):
        job: Body = {"queue": "q", "job_id": new_job_id()}
        async with ApiClient(injected_server.url) as api:
            fault = injection.add(LOG, Call.SYNC)
            refusal = refusal_of(await api.send("POST", "/enqueue", job))
            injected_server.kill()
        fault.end()
        assert (refusal.status, refusal.code) == (500, "OUTCOME_UNKNOWN")
        assert "It is unknown whether this call was done" in refusal.error
        assert "Nothing was done" not in refusal.error
        injected_server.restart()
        async with ApiClient(injected_server.url) as api:
            statuses.append((await api.send("POST", "/enqueue", job)).status_code)
            assert (await api.get("/queues/q"))["enqueued"] == len(statuses)
        if 200 in statuses:
            return
        # The server writes every two seconds while commits fail. That may have replaced the job
        # in the log before the kill.
    assert 200 in statuses


async def test_job_is_stored_once_by_the_repeat_of_a_running_server(
    injected_server: CorvoServer, injection: Injection
) -> None:
    job: Body = {"queue": "q", "job_id": new_job_id()}
    async with ApiClient(injected_server.url) as api:
        fault = injection.add(LOG, Call.SYNC)
        assert refusal_of(await api.send("POST", "/enqueue", job)).code == "OUTCOME_UNKNOWN"
        assert (await api.send("GET", "/readyz")).status_code == 503
        fault.end()
        assert (await api.send("POST", "/enqueue", job)).status_code == 201
    injected_server.kill()
    injected_server.restart()
    async with ApiClient(injected_server.url) as api:
        assert (await api.get("/queues/q"))["enqueued"] == 1


async def test_client_repeats_an_enqueue_and_raises_the_outcome_of_a_move(
    injected_server: CorvoServer, injection: Injection
) -> None:
    policy = RetryPolicy(max_attempts=3, first_delay=0.01)
    async with AsyncClient(injected_server.url, retry=policy) as client:
        job_id, repeated = (await client.enqueue("q")).job_id, new_job_id()
        fault = injection.add(LOG, Call.SYNC)
        with pytest.raises(OutcomeUnknown):
            await client.move_job(job_id, "elsewhere")
        with pytest.raises(OutcomeUnknown):
            await client.enqueue("q", job_id=repeated)
        fault.end()
        await client.enqueue("q", job_id=repeated)
        assert (await client.get_queue("q")).enqueued == 2
