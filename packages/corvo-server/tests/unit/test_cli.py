"""The command line: help, version, invalid options, and errors without a traceback."""

import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from corvo_server import __main__ as main_module
from corvo_server import cli
from corvo_server.__about__ import __version__
from corvo_server.cli import server
from corvo_server.http_server import BindError
from corvo_server.serve import serve
from corvo_server.settings import Settings, defaults, option_of, variable_of
from corvo_server.store.sqlite.database import DATABASE_NAME, lock_data_dir

Invoke = Callable[..., Result]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Settings of the servers that the command line would have run."""
    settings: list[Settings] = []
    monkeypatch.setattr(cli, "serve", settings.append)
    monkeypatch.setattr(cli.logs, "configure", lambda *_: None)
    return settings


@pytest.fixture
def invoke(tmp_path: Path, served: list[Settings]) -> Invoke:
    """Run the command line in an empty directory."""

    def run(*arguments: str, **environment: str) -> Result:
        env: dict[str, str | None] = {variable_of(name): None for name in Settings.model_fields}
        env["CORVO_DATA_DIR"] = str(tmp_path / "data")
        return CliRunner().invoke(server, arguments, env=env | environment)

    return run


def squeezed(text: str) -> str:
    """Return the text without white space, because lines may be wrapped anywhere."""
    return "".join(text.split())


def test_help_describes_every_setting(invoke: Invoke) -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    text = squeezed(result.output)
    for name, field in Settings.model_fields.items():
        default = f"[{variable_of(name)}; default: {defaults()[name] or 'none'}]"
        for said in (option_of(name).replace("/", " / "), default, str(field.description)):
            assert squeezed(said) in text
    assert "json|text" in text


def test_help_shows_defaults_regardless_of_the_environment(invoke: Invoke) -> None:
    assert "default: 127.0.0.1:8080]" in invoke("--help", CORVO_BIND="0.0.0.0:1").output


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").output == f"corvo-server, version {__version__}\n"


def test_server_runs_with_the_given_settings(invoke: Invoke, served: list[Settings]) -> None:
    result = invoke("--bind", "[::1]:0", "--lease", "5s", CORVO_LEASE="9s", CORVO_LOG_LEVEL="error")
    assert (result.exit_code, result.output) == (0, "")
    (settings,) = served
    assert (settings.bind, settings.lease, settings.log_level) == ("[::1]:0", 5_000, "error")


def test_option_with_a_list_may_be_repeated(invoke: Invoke, served: list[Settings]) -> None:
    rules = ["--redact", "$.a", "--redact", "$.b,q:$.c"]
    result = invoke(*rules, "--allowed-host", "a", "--allowed-host", "b", CORVO_REDACT="$.d")
    assert (result.exit_code, result.output) == (0, "")
    (settings,) = served
    assert settings.redact == ["$.a", "$.b", "q:$.c"]
    assert settings.allowed_hosts == ["a", "b"]
    assert [rule.queues for rule in settings.policy.redaction] == [None, None, "q"]


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (["--bind", "nonsense"], {}, "--bind: 'nonsense' is not HOST:PORT"),
        (["--redact", "$.a[0]"], {}, "--redact: '$.a[0]' cannot be read at character 4: only"),
        (["--lease", "60"], {}, "--lease: '60' is not a duration"),
        (["--max-payload-bytes", "0"], {}, "--max-payload-bytes: "),
        (["--log-level", "loud"], {}, "--log-level: "),
        ([], {"CORVO_LEASE": "soon"}, "CORVO_LEASE: 'soon' is not a duration"),
        ([], {"CORVO_MAX_BACKLOG": "many"}, "CORVO_MAX_BACKLOG: "),
        (["--no-such-option", "x"], {}, "No such option"),
        (["no-such-command"], {}, "No such command"),
        (["--bind"], {}, "requires an argument"),
    ],
)
def test_bad_option_is_named(
    invoke: Invoke,
    served: list[Settings],
    arguments: list[str],
    environment: dict[str, str],
    named: str,
) -> None:
    result = invoke(*arguments, **environment)
    assert result.exit_code == 2
    assert named in result.output
    assert "Traceback" not in result.output
    assert served == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BindError("1.2.3.4:80", OSError(98, "Address already in use")), "Set another address"),
        (PermissionError(13, "Permission denied", "/data"), "Cannot use"),
    ],
)
def test_operator_errors_are_shown_without_a_traceback(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(_: Settings) -> None:
        raise error

    monkeypatch.setattr(cli, "serve", fail)
    result = invoke()
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert said in result.output
    assert "Traceback" not in result.output


def test_bug_is_not_hidden(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Settings) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(cli, "serve", fail)
    assert isinstance(invoke().exception, RuntimeError)


@pytest.mark.parametrize("arguments", [["check"], ["vacuum"], ["backup", "x.db"]])
def test_commands_refuse_a_file_that_is_not_a_database(
    invoke: Invoke, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / DATABASE_NAME).write_bytes(b"this is no database" * 1000)
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert "Error: " in result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_locked_data_dir_is_reported(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "serve", serve)
    lock = lock_data_dir(tmp_path / "data")
    result = invoke()
    lock.release()
    assert result.exit_code == 1
    assert "--data-dir" in result.output


def test_newer_database_is_reported(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "serve", serve)
    (tmp_path / "data").mkdir()
    connection = sqlite3.connect(tmp_path / "data" / DATABASE_NAME)
    connection.execute("CREATE TABLE schema_migrations (version INTEGER, name, applied_at)")
    connection.execute("INSERT INTO schema_migrations VALUES (999, 'later', 0)")
    connection.commit()
    connection.close()
    result = invoke()
    assert result.exit_code == 1
    assert "newer corvo-server" in result.output


def test_unknown_variables_are_named(
    invoke: Invoke, served: list[Settings], caplog: pytest.LogCaptureFixture
) -> None:
    assert invoke(CORVO_RETAIN_DED="1d").exit_code == 0
    (record,) = [record for record in caplog.records if "CORVO_RETAIN_DED" in record.message]
    assert record.levelname == "WARNING"
    assert "Did you mean CORVO_RETAIN_DEAD?" in record.message
    assert len(served) == 1


def test_commands_name_unknown_variables(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("check", CORVO_DATA_DIRECTORY=str(tmp_path))
    assert "Warning: The environment variable CORVO_DATA_DIRECTORY is unknown" in result.output
    assert "Did you mean CORVO_DATA_DIR?" in result.output


def test_main_runs_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    caught: dict[int, Any] = {}
    monkeypatch.setattr(main_module.signal, "signal", caught.__setitem__)
    monkeypatch.setattr(main_module.sys, "argv", ["corvo-server", "--version"])
    with pytest.raises(SystemExit) as left:
        main_module.main()
    assert left.value.code == 0
    assert set(caught) == {signal.SIGINT, signal.SIGTERM}
    ends: list[int] = []
    monkeypatch.setattr(main_module.os, "_exit", ends.append)
    monkeypatch.setattr(main_module.sys, "argv", ["corvo-server"])
    for number, handler in caught.items():
        handler(number, None)  # a signal before the server has started
    assert ends == [0, 0]
    monkeypatch.setattr(main_module.sys, "argv", ["corvo-server", "backup", "x.db"])
    for number, handler in caught.items():
        with pytest.raises(SystemExit) as left:
            handler(number, None)
        assert left.value.code == 128 + number


def test_database_can_be_set_in_the_environment(invoke: Invoke, served: list[Settings]) -> None:
    assert invoke(CORVO_DATABASE_URL="postgresql://a,b/corvo").exit_code == 0
    assert invoke("--database", "sqlite:///x", "--no-notify").exit_code == 0
    on_postgres, on_sqlite = served
    assert on_postgres.postgres_url == "postgresql://a,b/corvo"
    assert (on_sqlite.postgres_url, on_sqlite.sqlite_dir) == (None, Path("x"))
    assert not on_sqlite.notify


def test_passwords_are_never_shown(invoke: Invoke, served: list[Settings]) -> None:
    secret = "s3cret"
    for option in ("--database", "--database-listen-url"):
        result = invoke(option, f"mysql://corvo:{secret}@db/corvo")
        assert result.exit_code == 2
        assert "must be like postgresql://" in result.output
        assert secret not in result.output
    url = f"postgresql://corvo:{secret}@db/corvo"
    assert invoke("--database", url, "--database-listen-url", url).exit_code == 0
    assert secret not in repr(served[0])
    assert served[0].place == "postgresql://corvo:***@db/corvo"


@pytest.mark.parametrize("command", [["backup", "x"], ["restore", "x"], ["vacuum"]])
def test_commands_for_sqlite_refuse_postgresql(invoke: Invoke, command: list[str]) -> None:
    result = invoke("--database", "postgresql://db/corvo", *command)
    assert result.exit_code == 2
    assert "pg_dump" in result.output


@pytest.mark.parametrize("command", sorted(main_module.COMMANDS))
def test_command_stopped_during_the_imports_fails(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(main_module.sys, "argv", ["corvo-server", "--data-dir", "x", command])
    with pytest.raises(SystemExit) as left:
        main_module._exit_early(signal.SIGTERM, None)
    assert left.value.code == 128 + signal.SIGTERM


def test_main_knows_all_commands() -> None:
    assert set(server.commands) == main_module.COMMANDS
