"""Client methods that search jobs."""

from collections.abc import AsyncGenerator
from typing import Unpack

from corvo_client._async.base import AsyncBase
from corvo_client._calls import search as calls
from corvo_client._options import AnySortField, AnySortOrder, SearchFilters
from corvo_schema import Job, SearchReply

_PAGE = 500


class AsyncSearch(AsyncBase):
    """Search jobs."""

    async def search(
        self,
        *,
        sort: AnySortField = "created_at",
        order: AnySortOrder = "desc",
        limit: int = 50,
        cursor: str | None = None,
        **filters: Unpack[SearchFilters],
    ) -> SearchReply:
        """Return one page of the jobs that match all `SearchFilters`, and their total number.

        `limit` is 1 to 1000. Pass the `cursor` of the reply to get the next page of the same
        search. Raises `ValidationFailed` for invalid filters and for a search that takes too long.
        """
        call = calls.search(filters, sort=sort, order=order, limit=limit, cursor=cursor)
        return await self._send(call)

    async def search_all(
        self,
        *,
        sort: AnySortField = "created_at",
        order: AnySortOrder = "desc",
        page_size: int = _PAGE,
        **filters: Unpack[SearchFilters],
    ) -> AsyncGenerator[Job]:
        """Yield all matching jobs. Each request fetches one page.

        Jobs may change meanwhile: no job is yielded twice, and no job that matches all the time is
        missing. Raises the same errors as `search`.
        """
        cursor: str | None = None
        while True:
            call = calls.search(filters, sort=sort, order=order, limit=page_size, cursor=cursor)
            page = await self._send(call)
            for job in page.jobs:
                yield job
            cursor = page.cursor
            if not page.has_more or cursor is None:
                return
