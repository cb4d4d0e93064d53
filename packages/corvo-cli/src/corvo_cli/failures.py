"""What the client's errors mean on the command line: an exit code, and what to do next."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import corvo_client
from corvo_cli.exits import ExitCode, Failure

if TYPE_CHECKING:
    from corvo_schema import ErrorDetail


def failure_of(
    error: "corvo_client.CorvoError", *, server: str, parameters: Mapping[str, str]
) -> Failure:
    """Say what went wrong and what to do.

    `parameters` has the names of options and arguments by those of the request's fields.
    """
    if isinstance(error, corvo_client.ApiError):
        return _refusal(error, server, parameters)
    if isinstance(error, corvo_client.ConnectionFailed):
        return Failure(
            f"Cannot connect to {server}: {error.__cause__ or error}. Start a server there with "
            "`corvo server`, or name another one with --server.",
            ExitCode.UNREACHABLE,
        )
    return Failure(_sentence(str(error)), ExitCode.UNREACHABLE)


def _refusal(error: "corvo_client.ApiError", server: str, parameters: Mapping[str, str]) -> Failure:
    details = [_detail(detail, parameters) for detail in error.details]
    if not error.code:
        # Whoever answered is no Corvo server; that it knows no such path says nothing of jobs.
        code = ExitCode.AUTH if error.status in {401, 403} else ExitCode.UNREACHABLE
        return Failure(_sentence(f"{server}: {error.reason}"), code)
    match error:
        case corvo_client.ValidationFailed() if details:
            return Failure("The request is not valid:", ExitCode.USAGE, details)
        case corvo_client.ValidationFailed() | corvo_client.PayloadTooLarge():
            code, advice = ExitCode.USAGE, ""
        case corvo_client.Unauthorized():
            code, advice = ExitCode.AUTH, "Give a key that is valid here with --api-key."
        case corvo_client.Forbidden():
            code, advice = ExitCode.AUTH, "Use a key that has this right, with --api-key."
        case corvo_client.NotFound():
            code, advice = ExitCode.NOT_FOUND, ""
        case corvo_client.Conflict():
            code, advice = ExitCode.CONFLICT, ""
        case corvo_client.Unavailable():
            code, advice = ExitCode.UNREACHABLE, ""
        case corvo_client.ServerError() if error.request_id:
            code, advice = ExitCode.ERROR, f"Look in its log for request id {error.request_id}."
        case _:
            code, advice = ExitCode.ERROR, ""
    return Failure(f"{_sentence(error.reason)} {advice}".rstrip(), code, details)


def _detail(detail: "ErrorDetail", parameters: Mapping[str, str]) -> str:
    if not detail.field:
        return detail.message
    return f"{_parameter(detail.field, parameters)}: {detail.message}"


def _parameter(field: str, parameters: Mapping[str, str]) -> str:
    """Write a field's path with the name that it has on the command line: `--tag["a b"]`."""
    field = field.removeprefix("filter.")
    for end in range(len(field) + 1):
        if end == len(field) or field[end] in ".[":
            name = parameters.get(field[:end])
            return f"{name}{field[end:]}" if name else field
    raise AssertionError(field)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
