"""Writes the parts of the documentation that the code knows best.

    python scripts/gen_docs.py           write them
    python scripts/gen_docs.py --check   exit with 1 if one is out of date

Each stands between two comments in its page: the diagram and table of states, the settings, and the
list of endpoints, and the metrics.
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase

from corvo_schema.states import ALTERNATIVES, TRANSITIONS, EventType, JobState
from corvo_server.app import RESOURCES
from corvo_server.engine.metrics import Metrics
from corvo_server.http.openapi import describe
from corvo_server.settings import Settings, defaults, option_of, variable_of

if TYPE_CHECKING:
    from corvo_server.engine.notifier import Notifier
    from corvo_server.store.protocol import Store
    from corvo_server.store.queues import (
        QueueRecord,
    )

DOCS = Path(__file__).parent.parent / "docs"

_QUIET = {EventType.MOVED, EventType.PRIORITY_CHANGED, EventType.PROGRESS, EventType.DELETED}
_QUIET |= {EventType.PRUNED, EventType.REPLACED, EventType.RESCHEDULED, EventType.CANCEL_REQUESTED}
"""Not drawn: they change no state, or can happen nearly anywhere."""


def diagram() -> Iterable[str]:
    """The state machine as a mermaid diagram."""
    yield "```mermaid"
    yield "stateDiagram-v2"
    labels: dict[tuple[str, str], list[str]] = {}
    for (before, event), after in [*TRANSITIONS.items(), *ALTERNATIVES.items()]:
        if event not in _QUIET:
            arrow = (_dot(before), _dot(after))
            labels.setdefault(arrow, []).append(event.value)
    for (before_name, after_name), events in labels.items():
        yield f"    {before_name} --> {after_name}: {', '.join(dict.fromkeys(events))}"
    yield "```"


def transitions() -> Iterable[str]:
    """Every transition as a table."""
    yield "| state before | event | state after |"
    yield "|---|---|---|"
    for (before, event), after in TRANSITIONS.items():
        other = ALTERNATIVES.get((before, event))
        names = _name(after) + (f" or {_name(other)}" if other is not None else "")
        yield f"| {_name(before)} | `{event.value}` | {names} |"


def settings() -> Iterable[str]:
    """Every setting as a table."""
    shown = defaults()
    yield "| option | environment | default | what it does |"
    yield "|---|---|---|---|"
    for name, field in Settings.model_fields.items():
        option = f"`{option_of(name)}`"
        default = f"`{shown[name]}`" if shown[name] else "none"
        yield f"| {option} | `{variable_of(name)}` | {default} | {field.description} |"


def endpoints() -> Iterable[str]:
    """Every endpoint as a table."""
    yield "| request | what it does |"
    yield "|---|---|"
    for path, methods in describe(RESOURCES)["paths"].items():
        for method, operation in methods.items():
            yield f"| `{method.upper()} {path}` | {_cell(operation)} |"


def metrics() -> Iterable[str]:
    """Every metric of our own as a table, as a server shows them that has one queue."""
    idle = SimpleNamespace(waiting=0, backlog=0)
    made = Metrics(cast("Store", idle), cast("Notifier", idle))
    jobs = dict.fromkeys((state.value for state in JobState), 0)
    queue = SimpleNamespace(name="any", oldest_pending_at=None, **jobs)
    made.render([cast("QueueRecord", queue)], 0)
    yield "| metric | type | labels | what it tells |"
    yield "|---|---|---|---|"
    for family in made.registry.collect():
        if family.name.startswith("corvo_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(f"`{label}`" for label in _labels(made, family)) or "none"
            yield f"| `{name}` | {family.type} | {labels} | {family.documentation} |"


PARTS: dict[tuple[str, str], Callable[[], Iterable[str]]] = {
    ("states.md", "diagram"): diagram,
    ("states.md", "transitions"): transitions,
    ("settings.md", "settings"): settings,
    ("api.md", "endpoints"): endpoints,
    ("operations.md", "metrics"): metrics,
}


def main() -> int:
    """Write or check; the exit code."""
    is_check = "--check" in sys.argv[1:]
    stale = 0
    for (page, part), make in PARTS.items():
        path = DOCS / page
        before = path.read_text(encoding="utf-8")
        after = _with_part(before, part, "\n".join(make()))
        if before != after and is_check:
            print(f"docs/{page}: {part} is out of date; run scripts/gen_docs.py", file=sys.stderr)
            stale += 1
        elif before != after:
            path.write_text(after, encoding="utf-8")
    return 1 if stale else 0


def _with_part(page: str, part: str, text: str) -> str:
    begin, end = f"<!-- generated: {part} -->", f"<!-- end: {part} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(page)) != 1:
        raise SystemExit(f"{begin} … {end} has to be in the page just once")
    return pattern.sub(lambda _: f"{begin}\n{text}\n{end}", page)


def _labels(metrics: Metrics, family: Metric) -> Iterable[str]:
    """The names of a metric's labels: of a gauge from its samples, the others know them."""
    for value in vars(metrics).values():
        if isinstance(value, MetricWrapperBase) and value._name == family.name:  # noqa: SLF001
            return tuple(map(str, value._labelnames))  # noqa: SLF001
    return dict.fromkeys(label for sample in family.samples for label in sample.labels)


def _dot(state: JobState | None) -> str:
    return "[*]" if state is None else state.value


def _name(state: JobState | None) -> str:
    return "none" if state is None else state.value


def _cell(operation: dict[str, Any]) -> str:
    return str(operation["summary"]).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
