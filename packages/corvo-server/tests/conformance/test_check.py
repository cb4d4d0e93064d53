"""`corvo-server check` finds values that no server writes, and rows that contradict each other."""

import pytest

from corvo_server.store.bulk import BulkRecord
from server_support.bench import Bench
from server_support.kits import Kit


@pytest.mark.parametrize(
    ("damage", "repair", "problem"),
    [
        ("jobs SET payload = '{'", "payload = '{}'", "payload of jobs"),
        ("jobs SET result = '{\"a\":}'", "result = NULL", "result of jobs"),
        ("jobs SET tags = '[1]'", "tags = NULL", "a JSON object of texts"),
        ("jobs SET tags = '{\"a\":1}'", "tags = NULL", "a JSON object of texts"),
        ("jobs SET priority = 7", "priority = 2", "7 is not one of 0, 1, 2"),
        ("jobs SET attempt = -1", "attempt = 0", "-1 is not 0 or more"),
        (
            "jobs SET created_at = 1152921504606846976",
            "created_at = 1800000000000",
            "is not a time",
        ),
        ("events SET type = 'enqueuee'", "type = 'enqueued'", "'enqueuee' is not one of"),
        ("events SET queue = 'a b'", "queue = 'q'", "is not the name of a queue"),
        ("events SET data = 'x'", "data = NULL", "data of events"),
        ("events SET job_seq = 70", "job_seq = 1", "which never existed"),
        ("events SET job_id = 'x'", "job_id = (SELECT id FROM jobs)", "which never existed"),
    ],
)
async def test_damage_is_found(
    damage: str, repair: str, problem: str, bench: Bench, kit: Kit
) -> None:
    await bench.enqueue("q", payload={"large": 1e300})
    assert kit.find_problems() == []
    kit.query(f"UPDATE {damage} RETURNING 1")
    problems = kit.find_problems()
    assert any(problem in line for line in problems), problems
    kit.query(f"UPDATE {damage.split(maxsplit=1)[0]} SET {repair} RETURNING 1")  # noqa: S608 - our own words


@pytest.mark.parametrize("verb", ["clear", "delete"])
async def test_operation_that_empties_a_queue_is_sound(
    verb: str, bench: Bench, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corvo_server.engine.queues.AT_ONCE", 0)
    monkeypatch.setattr("corvo_server.engine.bulk._LONGEST_WAIT", 0)
    await bench.enqueue("q")
    assert isinstance(await getattr(bench.engine.queues, verb)("q"), BulkRecord)
    assert kit.find_problems() == []
    while await bench.engine.bulk.step():
        pass
    assert kit.find_problems() == []


async def test_events_of_removed_jobs_are_sound(bench: Bench, kit: Kit) -> None:
    await bench.enqueue("q")
    await bench.engine.jobs.delete(await bench.enqueue("q"))
    assert kit.find_problems() == []


@pytest.mark.parametrize(
    "payload", [{"text": "\0 and \\u0000"}, {"nested": [[[]]]}, None, "text", 1e300, {"": {}}]
)
async def test_unusual_payloads_are_sound(payload: object, bench: Bench, kit: Kit) -> None:
    await bench.enqueue("q", payload=payload, tags={"ü": "\u20ac"})
    assert kit.find_problems() == []
