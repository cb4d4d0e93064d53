"""`corvo-server keys`: keys are made, listed, rotated and revoked without a server."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from corvo_server.auth.key_text import read_key
from corvo_server.cli import server
from corvo_server.store.sqlite.database import lock_data_dir

Invoke = Callable[..., Result]


@pytest.fixture
def keys(tmp_path: Path) -> Invoke:
    """Run `corvo-server keys` on an empty data directory."""

    def run(*arguments: str, code: int = 0) -> Result:
        environment = {"CORVO_DATA_DIR": str(tmp_path / "data"), "CORVO_LOG_LEVEL": "error"}
        result = CliRunner().invoke(server, ["keys", *arguments], env=environment)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return run


def create(keys: Invoke, name: str, *options: str) -> str:
    """Make a key and return its text, which must be alone on stdout."""
    result = keys("create", "--name", name, *options)
    text = result.stdout.removesuffix("\n")
    assert read_key(text).text == text
    assert text not in result.stderr
    return text


def test_created_key_is_alone_on_stdout_and_is_never_shown_again(keys: Invoke) -> None:
    text = create(keys, "admin", "--role", "admin")
    shown = keys("list")
    assert shown.stdout.startswith(read_key(text).id)
    assert "admin  admin  all queues  valid\n" in shown.stdout
    assert text not in shown.output
    assert shown.stderr.endswith("1 keys\n")


def test_new_key_is_known_to_no_server(keys: Invoke, tmp_path: Path) -> None:
    text = keys("new").stdout.strip()
    assert read_key(text).text == text
    assert not (tmp_path / "data").exists()


def test_all_options_of_a_key_are_shown(keys: Invoke) -> None:
    options = ("--role", "worker", "--role", "producer", "--queues", "a.*", "--queues", "b")
    create(keys, "w", *options, "--expires", "90d")
    assert re.search(r"  w  worker,producer  a\.\*,b  valid until \d{4}-", keys("list").stdout)


def test_keys_are_rotated_with_a_grace(keys: Invoke) -> None:
    create(keys, "admin", "--role", "admin")
    text = keys("rotate", "admin", "--grace", "1d").stdout.strip()
    assert read_key(text)
    first, second = keys("list").stdout.splitlines()
    assert "valid until" in first
    assert second.startswith(read_key(text).id)
    keys("rotate", "admin")
    assert "revoked at" in keys("list").stdout


def test_last_admin_is_revoked_only_by_force(keys: Invoke) -> None:
    create(keys, "admin", "--role", "admin")
    refused = keys("revoke", "admin", code=1)
    assert "the last valid key of an admin" in refused.stderr
    assert "--force" in refused.stderr
    assert "revoked corvo_" in keys("revoke", "admin", "--force").stderr
    assert "revoked at" in keys("list").stdout


def test_lost_admin_key_is_replaced(keys: Invoke) -> None:
    """A new key of an admin can be made with the old one revoked or still valid."""
    create(keys, "admin", "--role", "admin")
    create(keys, "rescue", "--role", "admin")
    keys("revoke", "admin")


def test_key_in_the_place_of_its_id_is_not_shown(keys: Invoke) -> None:
    text = keys("new").stdout.strip()
    for command in ("revoke", "rotate"):
        assert text not in keys(command, text, code=1).output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["create", "--name", "a", "--role", "king"], 2, "--role: must be one of admin, operator"),
        (["create", "--name", "a"], 2, "Missing option '--role'"),
        (["create", "--role", "admin"], 2, "Missing option '--name'"),
        (["create", "--name", "", "--role", "admin"], 2, "--name: "),
        (["create", "--name", "a", "--role", "worker", "--queues", "a b"], 2, "--queues: must be"),
        (["create", "--name", "a", "--role", "worker", "--queues", "*" * 9], 2, "at most 8 stars"),
        (["create", "--name", "a", "--role", "worker", "--expires", "soon"], 2, "--expires: "),
        (["create", "--name", "a", "--role", "admin", "--queues", "a"], 1, "queues must be null"),
        (["rotate", "nobody"], 1, "There is no API key with the id nobody"),
        (["rotate", "nobody", "--grace", "x"], 2, "--grace: "),
        (["revoke", "nobody"], 1, "There is no API key with the id nobody"),
        (["revoke"], 2, "Missing argument 'KEY'"),
    ],
)
def test_bad_input_is_named(keys: Invoke, arguments: list[str], code: int, said: str) -> None:
    assert said in keys(*arguments, code=code).stderr
    assert keys("list").stdout == ""


def test_second_key_with_a_name_is_refused(keys: Invoke) -> None:
    create(keys, "admin", "--role", "admin")
    refused = keys("create", "--name", "admin", "--role", "worker", code=1)
    assert "There is a valid API key with the name 'admin' already" in refused.stderr
    assert refused.stdout == ""


def test_data_directory_of_a_running_server_is_refused(keys: Invoke, tmp_path: Path) -> None:
    lock = lock_data_dir(tmp_path / "data")
    refused = keys("create", "--name", "admin", "--role", "admin", code=1)
    lock.release()
    assert "Another corvo-server is using the data directory" in refused.stderr
    assert "Stop the other server" in refused.stderr
    assert "use `corvo keys` with the other server" in refused.stderr
    assert keys("list").stdout == ""
