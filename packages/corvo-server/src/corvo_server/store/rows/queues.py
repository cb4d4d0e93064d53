"""The statement and parameters that write a setting of a queue."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from corvo_server.store.queues import (
    LimitKeys,
    LimitQueue,
    PauseQueue,
    QueueSetting,
    QueueSettings,
    SetDefaults,
    ThrottleQueue,
)


def setting_update(
    statements: SimpleNamespace, setting: QueueSetting
) -> tuple[str, tuple[Any, ...]]:
    """Return the statement of an engine that writes `setting`, with all its parameters."""
    common = (setting.queue, setting.now)
    match setting:
        case PauseQueue(is_paused=is_paused, is_draining=is_draining):
            return statements.set_paused, (*common, is_paused, is_draining)
        case LimitQueue(max_concurrency=limit):
            return statements.set_max_concurrency, (*common, limit)
        case LimitKeys(max_per_key=limit):
            return statements.set_max_per_key, (*common, limit)
        case ThrottleQueue(rate=rate, window=window):
            return statements.set_throttle, (*common, rate, window)
        case SetDefaults(options=None, payload_schema=None):
            return statements.clear_defaults, (setting.queue,)
        case SetDefaults(options=options, payload_schema=schema):
            return statements.set_defaults, (*common, options or "{}", schema)


def to_settings(row: Sequence[Any]) -> QueueSettings:
    """Return the settings of a row of `queue_settings`."""
    is_paused, is_draining, *others = row
    return QueueSettings(bool(is_paused), bool(is_draining), *others)
