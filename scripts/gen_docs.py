"""Write the parts of the documentation that are generated from the code.

    python scripts/gen_docs.py           write them
    python scripts/gen_docs.py --check   exit with 1 if one of them is out of date

Each part stands in its page between two comments, `<!-- generated: NAME -->` and
`<!-- end: NAME -->`. `PARTS` names the pages, the parts, and the functions that make them.
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from docs_cli import cli_reference
from docs_faults import fault_table
from docs_http import endpoint_table, http_reference
from docs_python import sdk_reference, testing_reference, worker_reference
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase

from corvo_schema.states import ALTERNATIVES, TRANSITIONS, EventType, JobState
from corvo_server.engine.clock import Wall, system_clock
from corvo_server.engine.metrics import Metrics
from corvo_server.settings import Settings, defaults, option_of, variable_of
from corvo_server.store.search.search import SearchLoad
from corvo_server.store.storage import Storage

if TYPE_CHECKING:
    from corvo_server.engine.notifier import Notifier
    from corvo_server.store.protocol import Store
    from corvo_server.store.queues import QueueRecord

DOCS = Path(__file__).parent.parent / "docs"

_QUIET = {EventType.MOVED, EventType.PRIORITY_CHANGED, EventType.PROGRESS, EventType.DELETED}
_QUIET |= {EventType.PRUNED, EventType.REPLACED, EventType.RESCHEDULED, EventType.CANCEL_REQUESTED}
"""Events that the diagram leaves out: they change no state, or happen in nearly every state."""


def diagram() -> Iterable[str]:
    """Yield the state machine as a mermaid diagram."""
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
    """Yield a table of all transitions."""
    yield "| state before | event | state after |"
    yield "|---|---|---|"
    for (before, event), after in TRANSITIONS.items():
        other = ALTERNATIVES.get((before, event))
        names = _name(after) + (f" or {_name(other)}" if other is not None else "")
        yield f"| {_name(before)} | `{event.value}` | {names} |"


def settings() -> Iterable[str]:
    """Yield a table of all settings."""
    shown = defaults()
    yield "| option | environment | default | what it does |"
    yield "|---|---|---|---|"
    for name, field in Settings.model_fields.items():
        option = f"`{option_of(name)}`"
        default = f"`{shown[name]}`" if shown[name] else "none"
        yield f"| {option} | `{variable_of(name)}` | {default} | {field.description} |"


def metrics() -> Iterable[str]:
    """Yield a table of Corvo's own metrics, taken from a registry of a server with one queue."""
    idle = SimpleNamespace(
        waiting=0,
        backlog=0,
        backlog_bytes=0,
        storage=Storage(0, 0, 0, 0, 0, 0),
        search_load=SearchLoad(0, 0, 0),
    )
    made = Metrics(cast("Store", idle), cast("Notifier", idle), Wall(system_clock))
    jobs = dict.fromkeys((state.value for state in JobState), 0)
    queue = SimpleNamespace(name="any", oldest_pending_at=None, **jobs)
    made.render([cast("QueueRecord", queue)], 0)
    yield "| metric | type | labels | meaning |"
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
    ("operations.md", "metrics"): metrics,
    ("guarantees.md", "faults"): fault_table,
    ("reference/http.md", "endpoints"): endpoint_table,
    ("reference/http.md", "http"): http_reference,
    ("reference/cli.md", "cli"): cli_reference,
    ("reference/sdk.md", "sdk"): sdk_reference,
    ("reference/worker.md", "worker"): worker_reference,
    ("reference/testing.md", "testing"): testing_reference,
}


def main() -> int:
    """Write or check the parts; return the exit code."""
    is_check = "--check" in sys.argv[1:]
    stale = 0
    for (page, part), make in PARTS.items():
        path = DOCS / page
        before = path.read_text(encoding="utf-8")
        after = _with_part(before, part, "\n".join(make()).strip())
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
        raise SystemExit(f"the page must have {begin} … {end} exactly once")
    return pattern.sub(lambda _: f"{begin}\n{text}\n{end}", page)


def _labels(metrics: Metrics, family: Metric) -> Iterable[str]:
    """Return the names of a metric's labels: of its declaration or, for a gauge, of its samples."""
    for value in vars(metrics).values():
        if isinstance(value, MetricWrapperBase) and value._name == family.name:  # noqa: SLF001
            return tuple(map(str, value._labelnames))  # noqa: SLF001
    return dict.fromkeys(label for sample in family.samples for label in sample.labels)


def _dot(state: JobState | None) -> str:
    return "[*]" if state is None else state.value


def _name(state: JobState | None) -> str:
    return "none" if state is None else state.value


if __name__ == "__main__":
    sys.exit(main())
