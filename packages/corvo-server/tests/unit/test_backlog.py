"""The limits of the backlog of writes, by number and by memory."""

import pytest

from corvo_server.store.commit.writer import Backlog
from corvo_server.store.protocol import StoreOverloaded


@pytest.fixture
def backlog() -> Backlog:
    return Backlog(4, 1000)


def is_refused(backlog: Backlog, memory: int, *, is_new_work: bool = True) -> bool:
    before = backlog.operations, backlog.bytes
    try:
        backlog.add(memory, is_new_work=is_new_work)
    except StoreOverloaded:
        assert (backlog.operations, backlog.bytes) == before
        return True
    return False


def test_new_work_is_refused_above_the_number(backlog: Backlog) -> None:
    assert [is_refused(backlog, 0) for _ in range(5)] == [False] * 4 + [True]


def test_new_work_is_refused_above_the_memory(backlog: Backlog) -> None:
    assert [is_refused(backlog, 400) for _ in range(3)] == [False, False, True]
    assert not is_refused(backlog, 200)


def test_running_work_may_use_as_much_again(backlog: Backlog) -> None:
    assert [is_refused(backlog, 250) for _ in range(5)] == [False] * 4 + [True]
    running = [is_refused(backlog, 250, is_new_work=False) for _ in range(5)]
    assert running == [False] * 4 + [True]


def test_operation_of_any_size_is_added_beside_those_without_memory(backlog: Backlog) -> None:
    assert not is_refused(backlog, 0)
    assert not is_refused(backlog, 1_000_000)
    assert is_refused(backlog, 1)
    assert is_refused(backlog, 1, is_new_work=False)


def test_removed_operations_make_room(backlog: Backlog) -> None:
    for _ in range(2):
        backlog.add(500, is_new_work=True)
    assert is_refused(backlog, 500)
    backlog.remove([500, 500])
    assert (backlog.operations, backlog.bytes) == (0, 0)
    assert not is_refused(backlog, 500)
