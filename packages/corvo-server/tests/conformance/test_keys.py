"""API keys: who may make and end them, when they are valid, and what other servers learn."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from corvo_schema import ApiKeyRequest, RotateKeyRequest
from corvo_schema.errors import ErrorCode
from corvo_server.auth.caller import Caller
from corvo_server.auth.key_text import new_key
from corvo_server.engine.errors import CallError
from corvo_server.engine.keys import caller_of
from corvo_server.store.keys import KeyRecord
from server_support.bench import Bench

DAY_MS = 86_400_000


async def create(bench: Bench, name: str, *roles: str, **more: object) -> tuple[KeyRecord, str]:
    fields = {"name": name, "roles": [*roles], **more}
    return await bench.engine.keys.create(ApiKeyRequest.model_validate(fields))


async def admin(bench: Bench, name: str = "admin") -> tuple[KeyRecord, str]:
    return await create(bench, name, "admin")


def authenticate(bench: Bench, text: str) -> Caller:
    return bench.engine.keys.authenticate(text)


def refused(bench: Bench, text: str) -> str:
    with pytest.raises(CallError) as caught:
        authenticate(bench, text)
    assert caught.value.code is ErrorCode.UNAUTHORIZED
    return caught.value.message


async def test_a_store_without_keys_needs_none(bench: Bench) -> None:
    await bench.engine.keys.load()
    assert not bench.engine.keys.are_required
    await admin(bench)
    assert bench.engine.keys.are_required


async def test_key_is_known_by_its_text_alone(bench: Bench) -> None:
    _, first = await admin(bench)
    record, text = await create(bench, "w", "worker", "producer", queues=["a.*", "b"])
    caller = authenticate(bench, text)
    assert (caller.name, caller.key_id) == ("w", record.id)
    assert caller.roles == {"worker", "producer"}
    assert [caller.sees(queue) for queue in ("a.x", "b", "ab", "c")] == [True, True, False, False]
    assert authenticate(bench, first).scope is None
    assert text not in repr(await bench.store.list_keys())


async def test_keys_survive_a_restart(bench: Bench) -> None:
    record, text = await admin(bench)
    await bench.restart()
    await bench.engine.keys.load()
    assert authenticate(bench, text).key_id == record.id


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[:-1] + ("a" if text[-1] != "a" else "b"), "was changed"),
        (lambda text: text[:-9], "was cut"),
        (lambda text: text + text, "more than one key"),
        (lambda text: f"{text} ", "blanks around it"),
        (lambda text: text.removeprefix("corvo_"), "does not look like one"),
    ],
)
async def test_malformed_key_is_refused_with_the_reason(
    bench: Bench, change: Callable[[str], str], reason: str
) -> None:
    _, text = await admin(bench)
    message = refused(bench, change(text))
    assert reason in message
    assert text[20:] not in message


async def test_key_of_another_server_is_refused(bench: Bench) -> None:
    await admin(bench)
    stranger = new_key()
    assert f"does not know the API key {stranger.id}" in refused(bench, stranger.text)


async def test_expired_key_is_refused(bench: Bench) -> None:
    await admin(bench)
    record, text = await create(bench, "short", "worker", expires_after="1d")
    bench.clock.forward(DAY_MS - 1)
    held = authenticate(bench, text)
    assert bench.engine.keys.is_valid(held)
    bench.clock.forward(1)
    assert "(short) has expired" in refused(bench, text)
    assert not bench.engine.keys.is_valid(held)
    again, _ = await create(bench, "short", "worker")
    assert again.id != record.id


async def test_revoked_key_is_refused(bench: Bench) -> None:
    await admin(bench)
    record, text = await create(bench, "w", "worker")
    held = authenticate(bench, text)
    (revoked,) = await bench.engine.keys.revoke("w")
    assert revoked.id == record.id
    assert "was revoked" in refused(bench, text)
    assert not bench.engine.keys.is_valid(held)
    assert await bench.engine.keys.revoke(record.id) == [revoked]  # a repeat changes nothing
    await refuses(bench.engine.keys.revoke("w"), ErrorCode.NOT_FOUND)


async def test_rotated_key_ends_after_its_grace(bench: Bench) -> None:
    await admin(bench)
    old, old_text = await create(bench, "w", "worker", queues=["a"], expires_after="10d")
    bench.clock.forward(DAY_MS)
    request = RotateKeyRequest.model_validate({"grace": "1d"})
    new, new_text = await bench.engine.keys.rotate("w", request)
    assert (new.name, new.roles, new.queues) == (old.name, old.roles, old.queues)
    assert new.expires_at == bench.clock() + 10 * DAY_MS
    assert authenticate(bench, old_text).key_id == old.id
    assert authenticate(bench, new_text).key_id == new.id
    bench.clock.forward(DAY_MS)
    assert "has expired" in refused(bench, old_text)
    authenticate(bench, new_text)
    newest, _ = await bench.engine.keys.rotate("w", RotateKeyRequest())
    assert "was revoked" in refused(bench, new_text)
    await refuses(bench.engine.keys.rotate(new.id, RotateKeyRequest()), ErrorCode.INVALID_STATE)
    assert [key.id for key in await bench.engine.keys.revoke("w")] == [newest.id]


async def test_nobody_is_locked_out(bench: Bench) -> None:
    keys = bench.engine.keys
    await refuses(create(bench, "w", "worker"), ErrorCode.INVALID_STATE)
    assert not keys.are_required
    first, text = await admin(bench)
    await refuses(keys.revoke("admin"), ErrorCode.INVALID_STATE)
    authenticate(bench, text)
    await create(bench, "soon", "admin", expires_after="1d")
    await keys.revoke(first.id)
    bench.clock.forward(DAY_MS)
    await refuses(create(bench, "w", "worker"), ErrorCode.INVALID_STATE)
    await admin(bench, "rescue")
    (ended,) = await keys.revoke("rescue", may_lock_out=True)
    assert ended.name == "rescue"
    assert keys.are_required


async def test_first_key_is_made_once(bench: Bench) -> None:
    """Of servers that start at the same time, one makes its key, and the others use it."""
    texts = [new_key() for _ in range(5)]
    made = await asyncio.gather(*(bench.engine.keys.create_first(text) for text in texts))
    assert sum(made) == 1
    winner = texts[made.index(True)]
    assert [key.id for key in await bench.engine.keys.list_all()] == [winner.id]
    assert authenticate(bench, winner.text).roles == {"admin"}
    await create(bench, "w", "worker")  # there is an admin


async def test_first_key_is_not_made_again_after_a_revocation(bench: Bench) -> None:
    await admin(bench)
    await bench.engine.keys.revoke("admin", may_lock_out=True)
    assert not await bench.engine.keys.create_first(new_key())


async def test_two_valid_keys_never_have_the_same_name(bench: Bench) -> None:
    await admin(bench)
    made = [create(bench, "same", "worker") for _ in range(5)]
    results = await asyncio.gather(*made, return_exceptions=True)
    assert sum(isinstance(result, CallError) for result in results) == 4


async def test_admin_has_no_queues(bench: Bench) -> None:
    with pytest.raises(CallError) as caught:
        await create(bench, "a", "admin", "worker", queues=["a"])
    assert [field for field, _ in caught.value.details] == ["queues"]


async def test_last_use_is_stored_and_shown(bench: Bench) -> None:
    _, text = await admin(bench)
    assert (await bench.engine.keys.list_all())[0].last_used_at is None
    authenticate(bench, text)
    used_at = bench.clock()
    assert (await bench.engine.keys.list_all())[0].last_used_at == used_at
    assert await bench.engine.keys.store_uses() == 1
    assert await bench.engine.keys.store_uses() == 0
    await bench.restart()
    assert (await bench.engine.keys.list_all())[0].last_used_at == used_at


async def test_unknown_roles_of_newer_servers_allow_nothing(bench: Bench) -> None:
    record, _ = await admin(bench)
    newer = KeyRecord(record.id, "n", b"", ("auditor", "worker"), None, 0, "x")
    assert caller_of(newer).roles == {"worker"}


async def refuses(call: Awaitable[object], code: ErrorCode) -> None:
    with pytest.raises(CallError) as caught:
        await call
    assert caught.value.code is code
