"""The Python client of Corvo.

`AsyncClient` and `Client` have one method per endpoint; whatever goes wrong is a `CorvoError`.
Everything is imported when it is first used, so that `import corvo_client` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from corvo_client.__about__ import __version__

if TYPE_CHECKING:
    from corvo_client import calls
    from corvo_client._async.client import AsyncClient
    from corvo_client._codec import RawJson
    from corvo_client._errors import (
        ApiError,
        BadReply,
        CallTimedOut,
        Conflict,
        ConnectionFailed,
        ConnectionLost,
        CorvoError,
        Forbidden,
        InvalidState,
        LeaseLost,
        NotFound,
        Overloaded,
        PayloadTooLarge,
        ServerError,
        TransportError,
        Unauthorized,
        Unavailable,
        ValidationFailed,
    )
    from corvo_client._options import EnqueueOptions, NewJob
    from corvo_client._retry import NO_RETRIES, RetryPolicy
    from corvo_client._sync.client import Client
    from corvo_schema import (
        AckItem,
        Backoff,
        Batch,
        BatchOptions,
        ClusterStatus,
        EnqueueBatchReply,
        EnqueueReply,
        EnqueueRequest,
        ErrorCode,
        FailItem,
        FailReply,
        FetchedJob,
        HeartbeatJob,
        Job,
        JobState,
        OnConflict,
        Priority,
        Progress,
        QueueInfo,
        ReleaseItem,
        ReleaseReply,
        WorkerInfo,
        new_job_id,
    )

_HOMES = {
    "corvo_client": ("calls",),
    "corvo_client._async.client": ("AsyncClient",),
    "corvo_client._codec": ("RawJson",),
    "corvo_client._errors": (
        "ApiError",
        "BadReply",
        "CallTimedOut",
        "Conflict",
        "ConnectionFailed",
        "ConnectionLost",
        "CorvoError",
        "Forbidden",
        "InvalidState",
        "LeaseLost",
        "NotFound",
        "Overloaded",
        "PayloadTooLarge",
        "ServerError",
        "TransportError",
        "Unauthorized",
        "Unavailable",
        "ValidationFailed",
    ),
    "corvo_client._options": ("EnqueueOptions", "NewJob"),
    "corvo_client._retry": ("NO_RETRIES", "RetryPolicy"),
    "corvo_client._sync.client": ("Client",),
    "corvo_schema": (
        "AckItem",
        "Backoff",
        "Batch",
        "BatchOptions",
        "ClusterStatus",
        "EnqueueBatchReply",
        "EnqueueReply",
        "EnqueueRequest",
        "ErrorCode",
        "FailItem",
        "FailReply",
        "FetchedJob",
        "HeartbeatJob",
        "Job",
        "JobState",
        "OnConflict",
        "Priority",
        "Progress",
        "QueueInfo",
        "ReleaseItem",
        "ReleaseReply",
        "WorkerInfo",
        "new_job_id",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "NO_RETRIES",
    "AckItem",
    "ApiError",
    "AsyncClient",
    "Backoff",
    "BadReply",
    "Batch",
    "BatchOptions",
    "CallTimedOut",
    "Client",
    "ClusterStatus",
    "Conflict",
    "ConnectionFailed",
    "ConnectionLost",
    "CorvoError",
    "EnqueueBatchReply",
    "EnqueueOptions",
    "EnqueueReply",
    "EnqueueRequest",
    "ErrorCode",
    "FailItem",
    "FailReply",
    "FetchedJob",
    "Forbidden",
    "HeartbeatJob",
    "InvalidState",
    "Job",
    "JobState",
    "LeaseLost",
    "NewJob",
    "NotFound",
    "OnConflict",
    "Overloaded",
    "PayloadTooLarge",
    "Priority",
    "Progress",
    "QueueInfo",
    "RawJson",
    "ReleaseItem",
    "ReleaseReply",
    "RetryPolicy",
    "ServerError",
    "TransportError",
    "Unauthorized",
    "Unavailable",
    "ValidationFailed",
    "WorkerInfo",
    "__version__",
    "calls",
    "new_job_id",
]


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if module == __name__:
        return import_module(f"{module}.{name}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return __all__
