"""The table of what API keys with limits use."""

from collections.abc import Collection, Sequence

from corvo_server.store.commit.tables import Usage
from corvo_server.store.postgres.pipeline import Pipeline
from corvo_server.store.postgres.rows import SQL, as_json


class KeyUsage:
    """Implements `store.commit.tables.KeyUsageTable`.

    Each writer has its own rows, so that servers wait for each other only at enqueues that a limit
    counts.
    """

    def __init__(self, pipeline: Pipeline, writer_id: str) -> None:
        self._pipeline = pipeline
        self._writer_id = writer_id

    def lock(self, names: Collection[str]) -> dict[str, Usage]:
        values = (as_json(names),)
        self._pipeline.write(SQL.create_key_usage, values)
        self._pipeline.send(SQL.lock_key_usage, values)
        rows = self._pipeline.ask(SQL.find_key_usage, values)
        return {name: Usage(waiting, stored) for name, waiting, stored in rows}

    def add(self, changes: Sequence[tuple[str, Usage]]) -> None:
        rows = [{"name": name, **more._asdict()} for name, more in changes]
        self._pipeline.write(SQL.add_key_usage, (self._writer_id, as_json(rows)))
