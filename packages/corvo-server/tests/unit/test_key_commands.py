"""The limits of API keys on the command line of a stopped server."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from corvo_server.cli import server


def run(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(server, ["--data-dir", str(tmp_path), "keys", *arguments])


def test_limits_are_stored_and_listed(tmp_path: Path) -> None:
    assert run(tmp_path, "create", "--name", "boss", "--role", "admin").exit_code == 0
    limits = ("--max-rate", "5", "--max-waiting", "100", "--max-bytes", "1000000")
    made = run(tmp_path, "create", "--name", "tenant", "--role", "producer", *limits)
    assert made.exit_code == 0, made.output
    listed = run(tmp_path, "list").stdout.splitlines()
    assert "max-" not in listed[0]
    assert "all queues  max-rate=5  max-waiting=100  max-bytes=1000000  valid" in listed[1]


@pytest.mark.parametrize("option", ["--max-rate", "--max-waiting", "--max-bytes"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many"])
def test_bad_limit_is_named(tmp_path: Path, option: str, value: str) -> None:
    result = run(tmp_path, "create", "--name", "a", "--role", "worker", option, value)
    assert result.exit_code == 2
    assert option in result.output
