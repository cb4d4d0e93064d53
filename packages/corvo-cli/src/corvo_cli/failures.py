"""Translate errors of the client into exit codes and messages that say what to do next."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import corvo_client
from corvo_cli.exits import ExitCode, Failure
from corvo_cli.settings import Settings

if TYPE_CHECKING:
    from corvo_schema import ErrorDetail


def failure_of(
    error: "corvo_client.CorvoError", *, settings: Settings, parameters: Mapping[str, str]
) -> Failure:
    """Return the failure for an error of the client.

    `parameters` maps fields of the request to names of options and arguments.
    """
    if isinstance(error, corvo_client.ApiError):
        return _api_failure(error, settings.server, parameters)
    if isinstance(error, corvo_client.ConnectionFailed):
        cause = str(error.__cause__ or error)
        return Failure(
            f"Cannot connect to {settings.server} (URL from {settings.server_source}): {cause}. "
            f"{_way_to_connect(cause)}",
            ExitCode.UNREACHABLE,
        )
    if isinstance(error, corvo_client.InvalidSetting):
        return Failure(_sentence(str(error)), ExitCode.USAGE)
    return Failure(_sentence(str(error)), ExitCode.UNREACHABLE)


def _way_to_connect(cause: str) -> str:
    """Return what to do about a connection that could not be opened."""
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return (
            "Name the file of the authority that signed the certificate of the server with --ca or "
            "CORVO_CA_FILE."
        )
    return "Start a server with `corvo server`, or give the URL of a running server with --server."


def _api_failure(
    error: "corvo_client.ApiError", server: str, parameters: Mapping[str, str]
) -> Failure:
    details = [_detail(detail, parameters) for detail in error.details]
    if not error.code:
        # A Corvo server always sends an error code. This response came from something else (a
        # proxy, say), so a 404 does not mean that the job is missing.
        code = ExitCode.AUTH if error.status in {401, 403} else ExitCode.UNREACHABLE
        return Failure(_sentence(f"{server}: {error.reason}"), code)
    match error:
        case corvo_client.ValidationFailed() if details:
            return Failure("The request is not valid:", ExitCode.USAGE, details)
        case corvo_client.ValidationFailed() | corvo_client.PayloadTooLarge():
            code, advice = ExitCode.USAGE, ""
        case corvo_client.Unauthorized():
            code, advice = (
                ExitCode.AUTH,
                ("Give a valid API key with CORVO_API_KEY or --api-key-file."),
            )
        case corvo_client.Forbidden():
            code, advice = (
                ExitCode.AUTH,
                (
                    "`corvo keys status` shows what your key may do. An admin can make another one "
                    "with `corvo keys create`."
                ),
            )
        case corvo_client.NotFound():
            code, advice = ExitCode.NOT_FOUND, ""
        case corvo_client.Conflict():
            code, advice = ExitCode.CONFLICT, ""
        case corvo_client.Unavailable() | corvo_client.OutcomeUnknown():
            code, advice = ExitCode.UNREACHABLE, ""
        case corvo_client.ServerError() if error.request_id:
            code, advice = (
                ExitCode.ERROR,
                f"Search the server's log for request id {error.request_id}.",
            )
        case _:
            code, advice = ExitCode.ERROR, ""
    return Failure(f"{_sentence(error.reason)} {advice}".rstrip(), code, details)


def _detail(detail: "ErrorDetail", parameters: Mapping[str, str]) -> str:
    if not detail.field:
        return detail.message
    return f"{_parameter(detail.field, parameters)}: {detail.message}"


def _parameter(field: str, parameters: Mapping[str, str]) -> str:
    """Return a field's path with its command-line name, such as `--tag["a b"]`."""
    field = field.removeprefix("filter.")
    for end in range(len(field) + 1):
        if end == len(field) or field[end] in ".[":
            name = parameters.get(field[:end])
            return f"{name}{field[end:]}" if name else field
    raise AssertionError(field)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
