"""The list of changing operations, which tests of faults run, is complete and true."""

import pytest

from corvo_server.app import RESOURCES
from corvo_server.http.openapi import describe
from support.api_client import API, ApiClient
from support.operations import KEYS, OPERATIONS, READS, Operation, Repeat
from support.world import World, without_events


def test_every_changing_endpoint_has_an_operation() -> None:
    paths = describe(RESOURCES)["paths"]
    endpoints = {
        f"{method.upper()} {path.removeprefix(API)}"
        for path, methods in paths.items()
        for method in methods
        if method != "get"
    }
    assert endpoints == {operation.endpoint for operation in OPERATIONS} | {*READS, *KEYS}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_operation_and_its_repeat_have_the_described_effect(
    api: ApiClient, operation: Operation
) -> None:
    world = World()
    call = await operation.prepare(api, world)
    before = await world.view(api)
    assert (await api.send(*call)).status_code == operation.status

    after = await world.changed(api, before)
    assert (await api.send(*call)).status_code == operation.repeat_status
    again = await world.view(api)
    assert (again == after) is (operation.repeat is Repeat.NOTHING)
    if operation.repeat is Repeat.SAME_VALUES:
        assert without_events(again) == without_events(after)
