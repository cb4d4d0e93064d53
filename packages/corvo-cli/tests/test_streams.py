"""Closed streams, full disks and odd variables of the environment: a sentence and an exit code."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from corvo_cli.show import terminal
from corvo_cli.show.views import Cell, Column, Table

UNREACHABLE = "info --server http://127.0.0.1:1"
QUIET = {name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")}


def run(arguments: str, redirection: str = "", **environment: str) -> tuple[int, str]:
    """Run `corvo` in a shell. Return its exit code and its last line on stderr."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m corvo_cli {arguments} {redirection}', sys.executable],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**QUIET, "CORVO_CONFIG": "/nonexistent/config.toml", **environment},
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, (done.stderr.splitlines() or [""])[-1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", ["--help", "--version", "completion bash", "search --help"])
def test_full_disk_behind_stdout_is_an_error(arguments: str) -> None:
    message = "Error: Cannot write to stdout: No space left on device."
    assert run(arguments, ">/dev/full") == (1, message)


@pytest.mark.parametrize(
    ("arguments", "redirection", "code", "message"),
    [
        ("--help", ">&-", 1, "Error: Cannot write to stdout: Bad file descriptor."),
        ("bulk retry", "<&-", 2, "Error: Cannot read stdin: Bad file descriptor."),
        ("enqueue q -", "<&-", 2, "Error: Cannot read stdin: Bad file descriptor."),
        (UNREACHABLE, ">&-", 6, "Error: Cannot connect to http://127.0.0.1:1 (URL from --server)"),
        (UNREACHABLE, "2>&-", 6, ""),
        (UNREACHABLE, "2>/dev/full", 6, ""),
        (UNREACHABLE, "<&- >&- 2>&-", 6, ""),
    ],
)
def test_closed_stream_is_an_error_when_it_is_used(
    arguments: str, redirection: str, code: int, message: str
) -> None:
    found, line = run(arguments, redirection)
    assert (found, line[: len(message)]) == (code, message)


@pytest.mark.parametrize(
    ("variables", "url", "message"),
    [
        ({"ALL_PROXY": "socks5://p:1"}, "http://h.invalid", "ALL_PROXY is a SOCKS proxy"),
        ({"HTTP_PROXY": "::::"}, "http://h.invalid", "HTTP_PROXY is not valid"),
        ({"https_proxy": "http://p:x"}, "https://h.invalid", "HTTPS_PROXY is not valid"),
        ({"SSL_CERT_FILE": "/no"}, "https://h.invalid", "SSL_CERT_FILE names '/no'"),
        ({"SSL_CERT_DIR": "/no"}, "https://h.invalid", "SSL_CERT_DIR names '/no'"),
        ({"CORVO_SERVER": "http://h:x"}, "", "The server is from CORVO_SERVER."),
    ],
)
def test_bad_variable_is_named(variables: dict[str, str], url: str, message: str) -> None:
    code, line = run(f"info {url and f'--server {url}'}", **variables)
    assert code == 2
    assert message in line


@pytest.mark.parametrize("term", ["dumb", "unknown", "xterm"])
@pytest.mark.parametrize(("columns", "is_cut"), [("60", True), ("200", False)])
def test_columns_count_in_every_terminal_and_ids_are_never_cut(
    monkeypatch: pytest.MonkeyPatch, term: str, columns: str, is_cut: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.delenv("LINES", raising=False)  # with both variables, rich asks no terminal
    job, details = "job_01ARZ3NDEKTSV4RRFFQ69G5FAV" * 3, "d" * 90
    table = Table([Column("JOB"), Column("DETAILS", can_shrink=True)], [[Cell(job), Cell(details)]])
    stream = io.StringIO()
    terminal.print_view([table], stream, has_colour=False)
    assert job in stream.getvalue()
    assert (details not in stream.getvalue()) is is_cut
