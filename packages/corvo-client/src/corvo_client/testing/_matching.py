"""Match recorded jobs by queue or task, payload and arguments."""

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from corvo_client.worker._leases import jsonable
from corvo_client.worker._signature import HandlerSignature
from corvo_client.worker._task import Task
from corvo_schema import Job

ANYTHING: Any = object()
"""Default payload of a match: any payload."""

Target = str | Task[..., ..., Any]


class Wanted:
    """Matches jobs of a queue or a task whose payload has at least the given members.

    For a task, the members are the arguments of its function, including defaults. Values are
    compared by `==`, also after conversion to JSON, so `unittest.mock.ANY` works. Raises TypeError
    for a target that is neither: no job would match it.
    """

    def __init__(self, target: Target | None, payload: Any, arguments: Mapping[str, Any]) -> None:
        if not (target is None or isinstance(target, str | Task)):
            raise TypeError(
                f"{target!r} is not a task; pass the task that @worker.task returns, or the name "
                "of a queue"
            )
        self._task = target if isinstance(target, Task) else None
        self._queue = target.queue if isinstance(target, Task) else target
        self._payload = payload
        self._arguments = dict(arguments)
        whole = None if self._task is None else self._task.shape.whole
        if whole is not None and set(self._arguments) == {whole}:
            self._payload = self._arguments.pop(whole)

    def check_names(self, jobs: Iterable[Job]) -> None:
        """Raise TypeError for an argument that no job can have.

        A task tells its arguments. A queue does not: there, an argument must be in the payload of
        at least one of its jobs, if there are jobs with members.
        """
        if self._task is not None:
            known, where = self._task_names(), f"task {self._task.queue!r}"
        else:
            of_queue = [job for job in jobs if self._queue in (None, job.queue)]
            members = [job.payload for job in of_queue if isinstance(job.payload, dict)]
            known = frozenset(name for payload in members for name in payload) or None
            where = "any recorded job" if self._queue is None else f"a job of {self._queue!r}"
        for name in self._arguments:
            if known is not None and name not in known:
                near = get_close_matches(name, known, n=1)
                names = ", ".join(sorted(known))
                hint = f"did you mean {near[0]!r}?" if near else f"it has {names}"
                raise TypeError(f"{name!r} is not an argument of {where}; {hint}")

    def _task_names(self) -> frozenset[str] | None:
        """Return the names that a payload of the task can have; None for any."""
        if self._task is None:
            return None
        whole, names = self._task.shape.whole, self._task.shape.names
        if whole is None or names is None:
            return names
        model = HandlerSignature(self._task.function).types[whole]
        if model.model_config.get("extra") == "allow":
            return None
        for name, field in model.model_fields.items():
            aliases = (name, field.alias, field.validation_alias, field.serialization_alias)
            names |= {alias for alias in aliases if isinstance(alias, str)}
        return names | set(model.model_computed_fields)

    def __str__(self) -> str:
        parts = [f"{name}={value!r}" for name, value in self._arguments.items()]
        if self._payload is not ANYTHING:
            parts.insert(0, f"the payload {self._payload!r}")
        where = "any queue" if self._queue is None else f"queue {self._queue!r}"
        return f"{where} with {', '.join(parts)}" if parts else where

    def matches(self, job: Job) -> bool:
        """Return whether a job matches."""
        if self._queue is not None and job.queue != self._queue:
            return False
        if self._payload is not ANYTHING and not _equal(self._payload, job.payload):
            return False
        if not self._arguments:
            return True
        members = job.payload if isinstance(job.payload, dict) else {}
        members = {**self._defaults(), **members}
        return all(
            name in members and _equal(value, members[name])
            for name, value in self._arguments.items()
        )

    def _defaults(self) -> dict[str, Any]:
        if self._task is None or self._task.shape.whole is not None:
            return {}
        return {
            parameter.name: jsonable(parameter.default)
            for parameter in inspect.signature(self._task.function).parameters.values()
            if parameter.default is not parameter.empty
        }


def _equal(expected: Any, actual: Any) -> bool:
    if expected == actual:
        return True
    try:
        return bool(jsonable(expected) == actual)
    except ValueError:  # JSON cannot express the value, so no payload contains it
        return False
