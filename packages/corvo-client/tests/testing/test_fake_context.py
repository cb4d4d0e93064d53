"""Contexts for unit tests of handlers."""

import asyncio
from typing import Any

import pytest

from corvo_client.testing import FakeContext, fake_context
from corvo_client.worker import Context, Interruption, current_job


async def resize(context: Context, images: list[str]) -> Any:
    done = context.last_checkpoint or 0
    for number, image in enumerate(images[done:], done + 1):
        context.raise_if_cancelled()
        context.progress(number, len(images), image)
        context.checkpoint(number)
        context.log.debug("resized %s", image)
    return context.state


async def test_a_handler_runs_with_a_fake_context(caplog: pytest.LogCaptureFixture) -> None:
    context = fake_context(checkpoint=1, attempt=2, state="state", job_id="job_1", queue="images")
    assert await resize(context, ["a", "b", "c"]) == "state"
    assert context.checkpoints == [2, 3]
    assert [(p.current, p.total, p.message) for p in context.progresses] == [
        (2, 3, "b"),
        (3, 3, "c"),
    ]
    assert [record.getMessage() for record in context.records] == [
        "[job_1] resized b",
        "[job_1] resized c",
    ]
    assert "resized c" in caplog.text
    assert (context.id, context.queue, context.attempt, context.last_checkpoint) == (
        "job_1",
        "images",
        2,
        3,
    )


def test_defaults() -> None:
    context = fake_context()
    assert isinstance(context, Context)
    assert context.id.startswith("job_")
    assert (context.payload, context.tags, context.attempt, context.is_last_attempt) == (
        {},
        {},
        1,
        False,
    )
    assert fake_context(None, tags={"a": "b"}, max_retries=1).is_last_attempt
    with pytest.raises(ValueError, match="object"):
        context.checkpoint(object())
    assert context.checkpoints == []
    assert fake_context().payload is not context.payload


async def test_a_cancellation_can_be_simulated() -> None:
    context = fake_context()
    context.cancel()
    assert (context.cancelled, context.interruption) == (True, Interruption.CANCELLED)
    with pytest.raises(asyncio.CancelledError):
        await resize(context, ["a"])
    lost = fake_context()
    lost.cancel(Interruption.LOST)
    assert lost.interruption is Interruption.LOST


def test_current_job_returns_it_in_a_with_statement() -> None:
    with fake_context(job_id="job_1") as context:
        assert isinstance(context, FakeContext)
        assert current_job() is context
        with fake_context(job_id="job_2"):
            assert current_job().id == "job_2"
        assert current_job().id == "job_1"
    with pytest.raises(LookupError):
        current_job()
