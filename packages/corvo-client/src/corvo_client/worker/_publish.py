"""Publish the options of tasks and the schemas of their payloads as the defaults of their queues.

With them, the server applies the options of a task to jobs that others enqueue: the command line,
schedules, programs in other languages.
"""

import asyncio
from collections.abc import Sequence

from pydantic_core import to_json

from corvo_client._backoff import Backoff
from corvo_client._errors import CorvoError, Forbidden, NotFound
from corvo_client.worker._log import log as _log
from corvo_client.worker._runner import AnyTask
from corvo_client.worker._server import Server
from corvo_schema.queues import MAX_SCHEMA_BYTES


async def publish_defaults(server: Server, tasks: Sequence[AnyTask]) -> None:
    """Replace the defaults of the tasks' queues, and try on while the server cannot be reached.

    Never raises: a worker runs without it, too. A server of an older release has no defaults.
    """
    backoff = Backoff(cap=30.0)
    for task in tasks:
        schema = task.shape.json_schema()
        if schema is not None and len(to_json(schema)) > MAX_SCHEMA_BYTES:
            _log.info("the payload of %s has a too large JSON Schema to publish", task.queue)
            schema = None
        while True:
            try:
                await server.set_queue_defaults(task.queue, task.defaults, schema)
                break
            except NotFound:
                _log.debug("the server knows no defaults of queues, so none are published")
                return
            except Forbidden as error:
                # Expected of a key with the role worker. The other tasks would get the same answer.
                _log.info(
                    "the options of the tasks are not published as defaults of their queues, "
                    "which needs the role operator: %s",
                    error.reason,
                )
                return
            except CorvoError as error:
                if not error.is_transient:
                    _log.warning("cannot publish the options of %s: %s", task.queue, error)
                    break
            await asyncio.sleep(backoff.next())
