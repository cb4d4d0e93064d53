"""How long to wait before the next attempt."""

from corvo_schema.states import Backoff

_JITTER = 0.1


def retry_delay(
    backoff: Backoff, base_delay: int, max_delay: int, attempt: int, luck: float
) -> int:
    """Milliseconds until the attempt after the failed one, number `attempt` (from 1).

    The strategy's delay is capped at `max_delay`; `luck`, from 0 to 1, then adds up to a tenth,
    so that jobs that failed together do not return together.
    """
    delay = backoff.delay(base_delay, max_delay, attempt)
    return delay + int(delay * _JITTER * luck)
