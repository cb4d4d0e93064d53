"""The parent of several processes: how it starts, and what it says when it cannot."""

import pytest
from pydantic import ValidationError

from corvo_server.http_server import BindError, bind_group, url_of
from corvo_server.settings import Settings


def test_one_address_is_shared_by_all_of_a_group() -> None:
    listeners = bind_group("127.0.0.1:0", 3)
    assert len({url_of(listener) for listener in listeners}) == 1
    for listener in listeners:
        listener.close()


def test_a_group_does_not_join_that_of_another_server() -> None:
    (first,) = bind_group("127.0.0.1:0", 1)
    first.listen()
    with first, pytest.raises(BindError, match="Is another server running there"):
        bind_group(f"127.0.0.1:{first.getsockname()[1]}", 1)


def test_front_ends_are_for_sqlite() -> None:
    with pytest.raises(ValidationError, match="start more servers on the same database"):
        Settings(database_url="postgresql://db/corvo", http_workers=2)
