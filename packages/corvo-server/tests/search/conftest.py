"""Fixtures for the tests of searches."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from corvo_schema import SearchRequest
from corvo_server.engine.search import Page
from server_support.bench import Bench

Find = Callable[..., Awaitable[Page]]


@pytest.fixture
def find(bench: Bench) -> Find:
    """Return a function that searches by the fields of a request and returns one page."""

    async def search(**fields: Any) -> Page:
        return await bench.engine.search.jobs(SearchRequest.model_validate(fields))

    return search


@pytest.fixture
def find_ids(find: Find) -> Callable[..., Awaitable[list[str]]]:
    """Return a function that searches like `find` and returns the ids of all pages."""

    async def search(**fields: Any) -> list[str]:
        ids: list[str] = []
        cursor = None
        while True:
            page = await find(**fields, cursor=cursor)
            ids += [job.head.id for job in page.jobs]
            cursor = page.cursor
            if cursor is None:
                return ids

    return search
