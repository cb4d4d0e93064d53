"""Histories of calls, made up by Hypothesis, against an independent model of what is promised.

`CORVO_STATEFUL_EXAMPLES` sets how many; `CORVO_STATEFUL_STEPS`, how long each is. A third of them
on PostgreSQL: a step takes several times as long there, and the rules are the same.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from server_support.history.machine import History
from server_support.kits import NewKit

EXAMPLES = int(os.environ.get("CORVO_STATEFUL_EXAMPLES", "150"))
STEPS = int(os.environ.get("CORVO_STATEFUL_STEPS", "50"))


def test_random_histories_match_the_model(new_kit: NewKit, engine_name: str) -> None:
    run_state_machine_as_test(
        lambda: History(new_kit),
        settings=settings(
            max_examples=EXAMPLES if engine_name == "sqlite" else EXAMPLES // 3,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
