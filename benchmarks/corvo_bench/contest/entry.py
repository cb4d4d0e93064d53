"""The contestants as scenarios of a run."""

from collections.abc import Iterable, Iterator
from functools import partial

from corvo_bench.contest.backends import Backends
from corvo_bench.contest.contest import contest
from corvo_bench.contest.contestants import Contestant
from corvo_bench.results import CORVO, BenchmarkError, NotRun, Sample
from corvo_bench.scenarios.bench import Bench, Scenario


def scenarios(backends: Backends, contestants: Iterable[Contestant]) -> dict[str, Scenario]:
    """A scenario for each contestant, by its name."""
    return {entrant.name: partial(_enter, entrant, backends) for entrant in contestants}


def _enter(entrant: Contestant, backends: Backends, bench: Bench) -> Iterator[Sample]:
    """Like `contest`; but what is amiss with others ends their part, and not the run."""
    try:
        yield from contest(entrant, backends, bench)
    except BenchmarkError as error:
        if entrant.name.startswith(CORVO):
            raise
        raise NotRun(str(error)) from None
