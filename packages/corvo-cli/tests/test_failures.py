"""Exit codes and error messages of failures."""

from typing import Any

import httpx
import pytest

LINE = "GET /jobs/x"


@pytest.mark.parametrize(
    ("status", "code", "exit_code", "advice"),
    [
        (400, "VALIDATION_ERROR", 2, ""),
        (400, "PARSE_ERROR", 2, ""),
        (401, "UNAUTHORIZED", 4, " Give a valid API key with CORVO_API_KEY or --api-key-file."),
        (
            403,
            "FORBIDDEN",
            4,
            " `corvo keys status` shows what your key may do. An admin can make another one with "
            "`corvo keys create`.",
        ),
        (404, "NOT_FOUND", 3, ""),
        (405, "METHOD_NOT_ALLOWED", 3, ""),
        (409, "INVALID_STATE", 5, ""),
        (409, "LEASE_LOST", 5, ""),
        (413, "PAYLOAD_TOO_LARGE", 2, ""),
        (415, "UNSUPPORTED_MEDIA_TYPE", 2, ""),
        (429, "OVERLOADED", 1, ""),
        (500, "INTERNAL_ERROR", 1, " Search the server's log for request id req-1."),
        (500, "OUTCOME_UNKNOWN", 6, ""),
        (503, "UNAVAILABLE", 6, ""),
    ],
)
@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
def test_refusal_sets_the_exit_code(
    corvo: Any, server: Any, status: int, code: str, exit_code: int, advice: str, output: str
) -> None:
    server.refuse(LINE, status, code, "So it is")
    result = corvo("inspect", "x", "-o", output)
    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert result.stderr == f"Error: So it is.{advice}\n"


def test_details_use_the_names_of_the_command_line(corvo: Any, server: Any) -> None:
    details = [
        {"field": "max_retries", "message": "must not be negative"},
        {"field": 'tags["a b"]', "message": "is too long"},
        {"field": "queue", "message": "has a blank"},
        {"field": "new.thing", "message": "is unknown"},
        {"field": "", "message": "too much in all"},
    ]
    server.refuse("POST /enqueue", 400, "VALIDATION_ERROR", "max_retries: …", details=details)
    result = corvo("enqueue", "emails")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "Error: The request is not valid:",
        "  --max-retries: must not be negative",
        '  --tag["a b"]: is too long',
        "  QUEUE: has a blank",
        "  new.thing: is unknown",
        "  too much in all",
    ]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (httpx.ReadError("reset"), "reset. The call may have taken effect"),
        (httpx.ReadTimeout("slow"), "no answer within 30 s"),
    ],
)
def test_lost_response_exits_with_6(
    corvo: Any, server: Any, error: Exception, message: str
) -> None:
    server.fail(LINE, error)
    result = corvo("inspect", "x")
    assert result.exit_code == 6
    assert message in result.stderr
    assert result.stderr.endswith(".\n")


def test_refused_connection_exits_with_6(corvo: Any, server: Any) -> None:
    server.fail(LINE, httpx.ConnectError("Connection refused"))
    result = corvo("inspect", "x", "--server", "http://corvo.example:1")
    assert result.exit_code == 6
    assert result.stderr == (
        "Error: Cannot connect to http://corvo.example:1 (URL from --server): Connection "
        "refused. Start a server with `corvo server`, or give the URL of a running server with "
        "--server.\n"
    )


@pytest.mark.parametrize(
    ("status", "exit_code"), [(401, 4), (403, 4), (404, 6), (500, 6), (502, 6)]
)
def test_404_from_a_proxy_is_not_a_missing_job(
    corvo: Any, server: Any, status: int, exit_code: int
) -> None:
    server.answer(LINE, b"<html>nginx</html>", status)
    result = corvo("inspect", "x")
    assert result.exit_code == exit_code
    assert "not from a Corvo server" in result.stderr


def test_invalid_response_exits_with_6(corvo: Any, server: Any) -> None:
    server.answer(LINE, b"<html>welcome</html>")
    result = corvo("inspect", "x")
    assert result.exit_code == 6
    assert "not what a Corvo server of this version sends" in result.stderr


def test_temporary_failure_is_retried(corvo: Any, server: Any, job: Any) -> None:
    server.refuse(LINE, 503, "UNAVAILABLE")
    server.answer(LINE, job)
    assert corvo("inspect", "x").exit_code == 0
    assert len(server.requests) == 2


def test_control_characters_in_a_message_are_escaped(corvo: Any, server: Any) -> None:
    server.refuse(LINE, 404, "NOT_FOUND", "No \x1b[2Jjob")
    assert corvo("inspect", "x").stderr == "Error: No \\x1b[2Jjob.\n"


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://user:secret@host"])
def test_invalid_url_is_wrong_usage(corvo: Any, url: str) -> None:
    result = corvo("inspect", "x", "--server", url)
    assert result.exit_code == 2
    assert "URL of" in result.stderr


def test_invalid_key_is_wrong_usage(corvo: Any) -> None:
    result = corvo("inspect", "x", "--api-key", "schlüssel")
    assert result.exit_code == 2
    assert "printable ASCII" in result.stderr


def test_ctrl_c_exits_with_130_and_no_message(corvo: Any, server: Any) -> None:
    server.fail(LINE, KeyboardInterrupt())
    result = corvo("inspect", "x")
    assert result.exit_code == 130
    assert result.stderr == "\n"
