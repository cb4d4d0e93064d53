"""Kills a server at the crash points of operations. Checks what is left, and what repeats do."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

import httpx

from corvo_server.app import check_store
from corvo_server.settings import Settings
from server_support.waiting import wait_until
from support.api_client import ApiClient, Body
from support.faults.crash_points import Plan, Point
from support.faults.crashes import CrashingServer
from support.operations import Operation, Repeat
from support.preparations import Call
from support.transitions import Transition
from support.world import World, without_events

_BEFORE_COMMIT = (Point.BEGUN, Point.WRITTEN)
_ACCEPTED = 202


class Reference(NamedTuple):
    """What an undisturbed run of an operation shows."""

    before: Body
    after: Body


class CrashRun:
    """The crashes of one server, and the worlds that they have left."""

    def __init__(self, server: CrashingServer, settings: Settings) -> None:
        self._server = server
        self._settings = settings
        self._points = [
            *_BEFORE_COMMIT,
            *([] if settings.postgres_url is None else [Point.SENT]),
            Point.COMMITTED,
        ]
        self._left: list[tuple[World, Body]] = []
        """The worlds so far, each with the view that it must keep."""
        self.figures = Counter[str]()

    def plans(self, operation: Operation) -> list[Plan]:
        """Return all crash points of an operation: those of each commit, and of the reply."""
        commits = range(operation.commits)
        plans = [Plan(point, skip=number) for number in commits for point in self._points]
        last = 0 if operation.status == _ACCEPTED else operation.commits - 1
        return [*plans, Plan(Point.REPLYING, skip=last), Plan(Point.REPLIED, skip=last)]

    async def crash_at(self, operation: Operation, plans: Sequence[Plan]) -> None:
        """Crash at each of these points of an operation, each time with a new world."""
        async with self._api(is_held=operation.is_soon_over) as api:
            reference = await self._run_undisturbed(api, operation)
            for plan in plans:
                with _named(plan):
                    await self._crash(api, operation, plan, reference)
        self.figures["operations"] += 1

    async def crash_in_background(self, transition: Transition) -> None:
        """Crash at every point of a change by a service, and see it completed."""
        async with self._api() as api:
            world = World()
            before = await self._cause(api, transition, world)
            self._server.release()
            after = await world.changed(api, before)
            for plan in (Plan(point, transition.verb) for point in self._points):
                with _named(plan):
                    world = World()
                    assert await self._cause(api, transition, world) == before
                    self._server.plan(plan)
                    self._server.release()
                    await self._next_life(plan)
                    await _see(api, world, after, is_soon=True)
                    self._left.append((world, after))
        self.figures["transitions"] += 1

    async def check_worlds(self) -> None:
        """Check that all worlds are as their crashes have left them."""
        async with self._api() as api:
            for world, view in self._left:
                assert await world.view(api) == view

    async def _run_undisturbed(self, api: ApiClient, operation: Operation) -> Reference:
        """Run an operation without a crash. Check the number of its commits."""
        world = World()
        call = await operation.prepare(api, world)
        before = await world.view(api)
        commits = len(self._server.commits)
        assert (await api.send(*call)).status_code == operation.status
        after = await world.changed(api, before)
        verbs = self._server.commits[commits:]
        assert len(verbs) == operation.commits, verbs
        return Reference(before, after)

    async def _crash(
        self, api: ApiClient, operation: Operation, plan: Plan, reference: Reference
    ) -> None:
        """Crash at one point of an operation. Check what is there, repeat the call, check again.

        Until the first COMMIT nothing is there. After it, the whole effect is there or comes
        without the client. The repeat completes it, and does nothing twice.
        """
        world = World()
        call = await operation.prepare(api, world)
        assert await world.view(api) == reference.before
        await self._send_and_die(api, operation, call, plan)
        is_done = plan.skip > 0 or plan.point not in _BEFORE_COMMIT
        expected = reference.after if is_done else reference.before
        left = await _see(api, world, expected, is_soon=is_done and operation.commits > 1)
        if not is_done or operation.repeat is not Repeat.AGAIN:
            answer = await api.send(*call)
            wanted = operation.repeat_status if is_done else operation.status
            assert answer.status_code == wanted, answer.text
            self.figures["repeats"] += 1
            is_event_new = is_done and operation.repeat is Repeat.SAME_VALUES
            part = without_events if is_event_new else _whole
            is_soon = operation.status == _ACCEPTED
            left = await _see(api, world, reference.after, is_soon=is_soon, part=part)
        self._left.append((world, left))

    @asynccontextmanager
    async def _api(self, *, is_held: bool = False) -> AsyncIterator[ApiClient]:
        """Yield a client. A failed check leaves no plan and no held services to further ones."""
        if is_held:
            self._server.hold()
        try:
            async with ApiClient(self._server.url) as api:
                yield api
        finally:
            self._server.release()
            self._server.drop_plan()

    async def _cause(self, api: ApiClient, transition: Transition, world: World) -> Body:
        self._server.hold()
        await transition.cause(api, world, self._settings)
        return await world.view(api)

    async def _send_and_die(
        self, api: ApiClient, operation: Operation, call: Call, plan: Plan
    ) -> None:
        if plan.point is Point.REPLIED:
            assert (await api.send(*call)).status_code == operation.status
            self._server.end_life()
        else:
            self._server.plan(plan)
            with suppress(httpx.TransportError):
                answer = await api.send(*call)
                is_accepted = operation.status == _ACCEPTED and plan.skip > 0
                assert is_accepted, f"answered before the crash: {answer.text}"
        await self._next_life(plan)

    async def _next_life(self, plan: Plan) -> None:
        await self._server.wait_for_next_life()
        self.figures["kills"] += 1
        assert await asyncio.to_thread(check_store, self._settings) == []


def _whole(view: Body) -> Body:
    return view


async def _see(
    api: ApiClient,
    world: World,
    expected: Body,
    *,
    is_soon: bool = False,
    part: Callable[[Body], Body] = _whole,
) -> Body:
    """Check that `part` of the view of a world is as expected, now or soon. Return the view."""

    async def as_expected() -> Body | None:
        view = await world.view(api)
        return view if part(view) == part(expected) else None

    if is_soon:
        with suppress(AssertionError):  # the comparison below says what is different
            return await wait_until(as_expected)
    view = await world.view(api)
    assert part(view) == part(expected)
    return view


@contextmanager
def _named(plan: Plan) -> Iterator[None]:
    """Add to an error where the process ended."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"crash point: {plan.point} of commit {plan.skip + 1} {plan.verb}")
        raise
