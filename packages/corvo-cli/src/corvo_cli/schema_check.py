"""Compare a payload with the JSON Schema that the workers of its queue have published."""

import json
from itertools import islice
from typing import Any

import corvo_client
from corvo_cli.session import Session

_MAX_DIFFERENCES = 5
_MAX_LENGTH = 200


def warn_of_differences(session: Session, queue: str, document: "corvo_client.RawJson") -> None:
    """Print a warning on stderr if the payload does not match the schema of its queue.

    The schema may be older or newer than the worker that gets the job, so it refuses nothing. A
    queue without a schema has no check.
    """
    try:
        defaults = session.ask(corvo_client.calls.get_queue(queue)).value.defaults
    except corvo_client.CorvoError:  # an unknown queue has no schema; the job is enqueued already
        return
    if defaults is None or defaults.payload_schema is None:
        return
    found = differences(json.loads(document.body), defaults.payload_schema)
    if found:
        session.output.say(
            f"Warning: a worker of {queue} may refuse this payload: {'; '.join(found)}."
        )


def differences(payload: Any, schema: dict[str, Any]) -> list[str]:
    """Return how a payload differs from a schema; nothing for a schema that cannot be applied."""
    # Slow to import, and few commands need it.
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.validators import validator_for  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    validator = validator_for(schema, default=Draft202012Validator)
    try:
        # An empty registry: a reference to another document is not fetched.
        errors = validator(schema, registry=Registry()).iter_errors(payload)
        first = list(islice(errors, _MAX_DIFFERENCES))
    except Exception:  # noqa: BLE001 - any error in a schema, e.g. a bad pattern or reference
        return []
    return [f"{error.json_path}: {error.message[:_MAX_LENGTH]}" for error in first]
