"""Ids: format, strict order, threads, forks."""

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest
from pydantic import BaseModel, ValidationError
from ulid import ULID

from corvo_schema import (
    IdFactory,
    JobId,
    derive_job_id,
    ids,
    is_job_id,
    new_batch_id,
    new_bulk_id,
    new_job_id,
    new_job_ids,
    new_schedule_id,
)

NOW = 1_769_846_400_123


class Sample(BaseModel):
    job_id: JobId


def test_id_is_a_prefix_and_a_ulid_of_the_clock() -> None:
    factory = IdFactory(lambda: NOW)
    for made, prefix in [
        (factory.job(), "job_"),
        (factory.batch(), "batch_"),
        (factory.schedule(), "sched_"),
        (factory.bulk(), "bulk_"),
    ]:
        assert made.startswith(prefix)
        assert ULID.from_str(made.removeprefix(prefix)).milliseconds == NOW


def test_ids_are_written_as_ulids_are() -> None:
    moments = iter([0, 1, NOW, 2**48 - 1])
    factory = IdFactory(lambda: next(moments))
    for ms in (0, 1, NOW, 2**48 - 1):
        text = factory.job().removeprefix("job_")
        whole = ms << 80 | factory._high << 20 | factory._counter
        assert text == str(ULID.from_bytes(whole.to_bytes(16)))


def test_module_functions_use_the_system_clock() -> None:
    made = [new_job_id(), new_batch_id(), new_schedule_id(), new_bulk_id(), *new_job_ids(1)]
    ulids = [text.partition("_")[2] for text in made]
    assert ulids == sorted(set(ulids))
    assert [text.partition("_")[0] for text in made] == ["job", "batch", "sched", "bulk", "job"]


def test_derived_id_depends_only_on_origin_and_time() -> None:
    job_id = derive_job_id("sched_1", NOW)
    assert is_job_id(job_id)
    digest = hashlib.sha256(f"{NOW}/sched_1".encode()).digest()
    assert job_id == f"job_{ULID.from_bytes(NOW.to_bytes(6) + digest[:10])}"
    assert ULID.from_str(job_id.removeprefix("job_")).milliseconds == NOW
    assert job_id == derive_job_id("sched_1", NOW)
    assert len({job_id, derive_job_id("sched_2", NOW), derive_job_id("sched_1", NOW + 1)}) == 3


def test_ids_increase_within_a_millisecond_and_when_the_clock_goes_back() -> None:
    clock = iter([NOW] * 2000 + [NOW - 5000] * 2000 + [NOW + 1] * 10)
    factory = IdFactory(lambda: next(clock))
    made = [factory.job() for _ in range(4010)]
    assert made == sorted(set(made))


def test_ids_increase_when_the_counter_overflows() -> None:
    factory = IdFactory(lambda: NOW)
    first = factory.job()
    factory._counter = 2**20 - 2
    made = [first, *(factory.job() for _ in range(5))]
    assert made == sorted(set(made))
    assert all(is_job_id(text) for text in made)


@pytest.mark.parametrize("counter", [7, 2**20 - 3, 2**20 - 1])
def test_many_ids_follow_each_other(counter: int) -> None:
    factory = IdFactory(lambda: NOW)
    first = factory.job()
    factory._counter = counter
    made = [*factory.jobs(0), *factory.jobs(5), factory.job(), *factory.jobs(1), factory.job()]
    assert len(made) == 8
    assert made == sorted(set(made))
    assert all(is_job_id(text) for text in made)
    assert {text[:20] for text in made} == {first[:20]}


def test_ids_are_unique_and_ordered_in_each_thread() -> None:
    factory = IdFactory(lambda: NOW)

    def make(_: int) -> list[str]:
        return [factory.job() for _ in range(2000)]

    with ThreadPoolExecutor(8) as pool:
        per_thread = list(pool.map(make, range(8)))
    assert all(made == sorted(made) for made in per_thread)
    assert len(set(chain.from_iterable(per_thread))) == 16_000


def test_two_factories_do_not_collide() -> None:
    factories = [IdFactory(lambda: NOW) for _ in range(50)]
    assert len({factory.job() for factory in factories for _ in range(50)}) == 2500


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="needs fork")
def test_forked_child_resets_its_factories(monkeypatch: pytest.MonkeyPatch) -> None:
    factory = IdFactory(lambda: NOW)
    before = factory.job()
    held = factory._lock
    held.acquire()  # another thread of the parent may hold the lock during the fork
    monkeypatch.setattr(ids, "_forks", ids._forks)
    ids._count_fork()
    after = factory.job()
    assert before[:14] == after[:14]
    assert before[14:20] != after[14:20]


@pytest.mark.parametrize("ms", [-2, 2**48])
def test_clock_outside_a_ulid_is_an_error(ms: int) -> None:
    with pytest.raises((OverflowError, ValueError)):
        IdFactory(lambda: ms if ms > 0 else sys.maxsize).job()


def test_is_job_id_takes_the_canonical_form_only() -> None:
    good = IdFactory(lambda: NOW).job()
    assert is_job_id(good)
    assert Sample(job_id=good).job_id == good
    for bad in [
        "",
        good.lower(),
        good[4:],
        good + "0",
        good[:-1],
        good[:-1] + "I",
        good[:-1] + "U",
        "batch_" + good[4:],
        "job_8" + good[5:],
        good + "\n",
    ]:
        assert not is_job_id(bad), bad
        with pytest.raises(ValidationError, match="job_ and a ULID"):
            Sample(job_id=bad)
