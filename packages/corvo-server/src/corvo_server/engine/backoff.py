"""How long to wait before the next attempt."""

from corvo_schema.states import Backoff

_JITTER = 0.1
_LARGEST_SHIFT = 62


def retry_delay(
    backoff: Backoff, base_delay: int, max_delay: int, attempt: int, luck: float
) -> int:
    """Milliseconds until the attempt after the failed one, number `attempt` (from 1).

    The strategy's delay is capped at `max_delay`; `luck`, from 0 to 1, then adds up to a tenth,
    so that jobs that failed together do not return together.
    """
    match backoff:
        case Backoff.NONE:
            return 0
        case Backoff.FIXED:
            delay = base_delay
        case Backoff.LINEAR:
            delay = base_delay * attempt
        case Backoff.EXPONENTIAL:
            delay = base_delay << min(attempt - 1, _LARGEST_SHIFT)
    delay = min(delay, max_delay)
    return delay + int(delay * _JITTER * luck)
