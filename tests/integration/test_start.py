"""The start of a server, and its errors when it cannot start."""

import os
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from corvo_server.settings import Settings, option_of, variable_of
from server_support.process import Process, python
from support.api_client import ApiClient
from support.server import CorvoServer, StartServer, server_command

# Root can write everywhere. This program drops that right before it runs its command.
WITHOUT_ROOT_RIGHTS = """
import ctypes, os, sys
if os.geteuid() == 0:
    drop_capability, override_permissions = 24, 1
    assert ctypes.CDLL(None).prctl(drop_capability, override_permissions, 0, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


def run(*command: str | Path, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a command to its end. Return its exit code and its output."""
    process = Process(command, env=env)
    try:
        return process.wait(), process.output
    finally:
        process.close()


def start_in(data_dir: Path, **options: str | int) -> tuple[int, str]:
    """Start a server that fails. Return its exit code and its output."""
    code, output = run(*server_command(data_dir, "127.0.0.1:0", options))
    assert "Traceback" not in output
    return code, output


@pytest.mark.sqlite
async def test_a_second_server_on_the_data_is_refused(start_server: StartServer) -> None:
    server = start_server()
    code, output = start_in(server.data_dir)
    assert code == 1
    assert output.startswith("Error: Another corvo-server is using the data directory")
    assert str(server.data_dir) in output
    assert "--data-dir" in output
    async with ApiClient(server.url) as api:
        await api.enqueue("q")


async def test_the_data_directory_is_unlocked_after_a_kill(start_server: StartServer) -> None:
    server = start_server()
    async with ApiClient(server.url) as api:
        job_id = await api.enqueue("q", [1])
    server.kill()
    server.restart(on_new_port=True)
    async with ApiClient(server.url) as api:
        assert (await api.fetch("q"))["job_id"] == job_id


def test_an_address_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        bind = f"127.0.0.1:{other.getsockname()[1]}"
        code, output = run(*server_command(tmp_path / "data", bind))
    assert code == 1
    assert f"Cannot listen on {bind}" in output
    assert "--bind" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--bind", "nonsense"),
        ("--bind", "127.0.0.1:99999"),
        ("--lease", "5 parsecs"),
        ("--max-backlog", "0"),
        ("--max-body-bytes", "many"),
        ("--log-level", "loud"),
        ("--log-format", "xml"),
        ("--retain-dead", "-1s"),
        ("--no-such-option", "1"),
    ],
)
def test_the_error_names_an_invalid_option(tmp_path: Path, option: str, value: str) -> None:
    code, output = run(*python("-m", "corvo_server", "--data-dir", tmp_path / "d", option, value))
    assert code == 2
    assert option in output
    assert "Traceback" not in output
    assert not (tmp_path / "d").exists()


def test_the_error_names_an_invalid_variable(tmp_path: Path) -> None:
    env = {"CORVO_LEASE": "soon", "CORVO_DATA_DIR": str(tmp_path / "d")}
    code, output = run(*python("-m", "corvo_server"), env=env)
    assert code == 2
    assert "CORVO_LEASE" in output
    assert not (tmp_path / "d").exists()


async def test_an_option_overrides_the_environment(
    tmp_path: Path,
) -> None:
    env = {"CORVO_MAX_PAYLOAD_BYTES": "10", "CORVO_LEASE": "7s"}
    server = CorvoServer(tmp_path / "data", {"lease": "9s"}, env=env).start()
    try:
        async with ApiClient(server.url) as api:
            assert (await api.refused("/enqueue", {"queue": "q", "payload": "x" * 9})).status == 413
            await api.enqueue("q", "x" * 8)
            assert (await api.fetch("q"))["lease_duration"] == 9
    finally:
        server.close()


def test_a_data_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o555)
    command = server_command(data_dir, "127.0.0.1:0")
    code, output = run(*python("-c", WITHOUT_ROOT_RIGHTS, *command))
    assert code == 1
    assert f"Cannot use {data_dir}" in output
    assert "Permission denied" in output
    assert "Traceback" not in output


def test_a_database_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    server = CorvoServer(tmp_path / "data").start()
    assert server.stop() == 0
    server.close()
    server.database.chmod(0o444)
    code, output = run(
        *python("-c", WITHOUT_ROOT_RIGHTS, *server_command(tmp_path / "data", "[::1]:0"))
    )
    assert code == 1
    assert f"Cannot use {server.database}" in output
    assert "readonly" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("below", ["", "below"])
def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("not a directory")
    code, output = start_in(file / below)
    assert code == 1
    assert f"Cannot use {file / below}" in output
    assert file.read_text() == "not a directory"


def test_a_file_that_is_not_a_database_is_not_changed(tmp_path: Path) -> None:
    database = tmp_path / "corvo.db"
    database.write_text("Dear diary, " * 1000)
    code, output = start_in(tmp_path)
    assert code == 1
    assert f"Cannot use {database}" in output
    assert "not a database" in output
    assert database.read_text() == "Dear diary, " * 1000


def test_the_database_of_a_newer_server_is_not_changed(tmp_path: Path) -> None:
    server = CorvoServer(tmp_path / "data").start()
    assert server.stop() == 0
    server.close()
    with closing(sqlite3.connect(server.database)) as connection, connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, 'from the future', 0)")
    before = server.database.read_bytes()
    code, output = start_in(server.data_dir)
    assert code == 1
    assert "9999" in output
    assert server.database.read_bytes() == before


def test_the_log_format_can_be_text(tmp_path: Path) -> None:
    options = {"log_format": "text"}
    process = Process(server_command(tmp_path / "data", "127.0.0.1:0", options))
    line = process.wait_for_line(lambda line: "listening on" in line, "the server listens")
    assert " INFO " in line
    assert not line.startswith("{")
    assert process.stop() == 0
    process.close()


def test_the_help_lists_every_setting() -> None:
    command = Path(sys.executable).parent / "corvo-server"
    assert os.access(command, os.X_OK)
    code, output = run(command, "--help")
    assert code == 0
    for name in Settings.model_fields:
        assert option_of(name).replace("/", " / ") in output
        assert variable_of(name) in output
    code, output = run(command, "--version")
    assert code == 0
    assert "corvo-server" in output
