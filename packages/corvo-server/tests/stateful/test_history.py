"""Random histories of calls, compared with an independent model of the server.

`CORVO_STATEFUL_EXAMPLES` sets the number of histories, `CORVO_STATEFUL_STEPS` their length.
PostgreSQL runs a third of them, because a step takes several times as long there.
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
