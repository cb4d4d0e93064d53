"""The overview of commands, help texts, shared options, and commands of other packages."""

import importlib.metadata
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from corvo_cli import plugins, root
from corvo_cli.__about__ import __version__
from corvo_cli.catalog import CATALOG, COMMANDS, HINTS
from corvo_cli.command import Command, SharedOption
from corvo_cli.main import main
from corvo_cli.parameters import DurationType, SpanType, TimeType
from corvo_cli.root import corvo as command


@pytest.fixture
def context() -> click.Context:
    return click.Context(command, info_name="corvo")


def all_commands(context: click.Context) -> list[tuple[str, click.Command]]:
    """Return every command and subcommand with its full name."""
    found: list[tuple[str, click.Command]] = []
    for name in COMMANDS:
        one = command.get_command(context, name)
        assert one is not None
        found.append((name, one))
        if isinstance(one, click.Group) and name != "server":
            found += [(f"{name} {sub}", one.commands[sub]) for sub in one.commands]
    return found


def test_options_say_in_our_words_what_they_expect(context: click.Context) -> None:
    """Types of click that parse text have messages of their own, and types per metavar are one."""
    kinds = {"DURATION": (SpanType, DurationType), "TIME": TimeType}
    for name, one in all_commands(context):
        for param in one.params:
            if isinstance(param, click.Option) and not param.is_flag and name != "server":
                kind = type(param.type)
                is_plain = isinstance(param.type, (click.types.StringParamType, click.File))
                assert is_plain or not kind.__module__.startswith("click"), (name, param.opts)
                expected = kinds.get(param.metavar or "", object)
                assert isinstance(param.type, expected), (name, param.opts)


def test_help_shows_all_commands_in_sections(corvo: Any) -> None:
    text = corvo("--help").stdout
    positions = [text.index(f"{title}:") for title in CATALOG]
    assert positions == sorted(positions)
    for name, entry in COMMANDS.items():
        assert f"  {name} " in text
        assert entry.summary in text
    for title in ("Examples:", "Exit codes:", "Connection and output:", "Options:"):
        assert title in text


@pytest.mark.parametrize("arguments", [(), ("-h",)])
def test_help_is_shown_without_a_command(corvo: Any, arguments: tuple[str, ...]) -> None:
    result = corvo(*arguments)
    assert "Usage: corvo" in result.stdout + result.stderr


def test_summaries_match_the_commands(context: click.Context) -> None:
    for name, entry in COMMANDS.items():
        one = command.get_command(context, name)
        assert one is not None
        if name != "server":
            assert (one.help or "").partition("\n")[0] == entry.summary, name


def test_every_command_has_examples_and_the_shared_options(context: click.Context) -> None:
    for name, one in all_commands(context):
        if name == "server" or isinstance(one, click.Group):
            continue
        assert isinstance(one, Command), name
        assert f"corvo {name}" in one.examples, name
        shared = {p.name for p in one.params if isinstance(p, SharedOption)}
        assert shared == {
            "server",
            "api_key",
            "api_key_file",
            "ca",
            "codec",
            "profile",
            "output",
        }, name


def test_every_option_has_a_help_text(context: click.Context) -> None:
    for name, one in all_commands(context):
        for parameter in one.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts}"


def test_help_of_a_command_has_all_sections_in_order(corvo: Any) -> None:
    text = corvo("enqueue", "--help").stdout
    parts = [
        "Usage: ",
        "Enqueue a job.",
        "Options:",
        "--tag",
        "Connection and output:",
        "Examples:",
    ]
    positions = [text.index(part) for part in parts]
    assert positions == sorted(positions)


@pytest.mark.parametrize("word", HINTS)
def test_command_of_another_tool_gets_the_one_here(corvo: Any, word: str) -> None:
    assert word not in COMMANDS
    result = corvo(word)
    assert result.exit_code == 2
    assert f"There is no command '{word}'. Use `corvo {HINTS[word]}`. Run" in result.stderr
    assert HINTS[word].split()[0] in COMMANDS


def test_help_of_a_group_lists_its_commands(corvo: Any) -> None:
    text = corvo("bulk", "--help").stdout
    parts = ["Apply one action to many jobs.", "Commands:", "  retry ", "Options:", "Examples:"]
    positions = [text.index(part) for part in parts]
    assert positions == sorted(positions)


def test_version_is_printed(corvo: Any) -> None:
    assert corvo("--version").stdout == f"corvo, version {__version__}\n"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("enqeue", " Did you mean enqueue?"), ("resum", " Did you mean resume?"), ("xyz", "")],
)
def test_typo_gets_a_suggestion(corvo: Any, typed: str, hint: str) -> None:
    result = corvo(typed, "x")
    assert result.exit_code == 2
    assert f"There is no command '{typed}'.{hint} Run `corvo --help` for a list.\n" in result.stderr


def test_unknown_option_is_wrong_usage(corvo: Any) -> None:
    assert corvo("--colour", "queues").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--output", "json", "info"),
        ("info", "--output", "json"),
        ("-o", "table", "info", "-o", "json"),
    ],
)
def test_shared_options_are_accepted_before_and_after_the_command(
    corvo: Any, server: Any, arguments: tuple[str, ...]
) -> None:
    server.answer("GET /info", {"server_version": "1", "api_version": "1"})
    assert corvo(*arguments).stdout.startswith("{")


def test_server_and_key_reach_the_request(
    corvo: Any, server: Any, environment: dict[str, str]
) -> None:
    server.answer("GET /info", {"server_version": "1", "api_version": "1"})
    environment["CORVO_SERVER"] = "http://environment"
    corvo("--server", "http://before", "info", "--server", "http://after:1", "--api-key", "k")
    corvo("info")
    first, second = server.requests
    assert (first.url.host, first.headers["Authorization"]) == ("after", "Bearer k")
    assert (second.url.host, "Authorization" in second.headers) == ("environment", False)


def test_invalid_setting_is_wrong_usage(corvo: Any, environment: dict[str, str]) -> None:
    environment["CORVO_PROFILE"] = "nowhere"
    result = corvo("info")
    assert result.exit_code == 2
    assert "There is no profile 'nowhere'" in result.stderr


@click.command()
def extra() -> None:
    """Do more."""
    click.echo("more")


@pytest.fixture
def with_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("extra", f"{__name__}:extra", plugins.GROUP)
    monkeypatch.setattr(root, "plugins", lambda: {"extra": point})
    monkeypatch.setattr(root, "load", lambda _point: extra)


@pytest.mark.usefixtures("with_plugin")
def test_commands_of_other_packages_are_listed(corvo: Any) -> None:
    assert "From other packages:\n  extra" in corvo("--help").stdout
    assert corvo("extra").stdout == "more\n"


def test_an_entry_point_that_is_no_command_is_named(
    corvo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("extra", "json:dumps", plugins.GROUP)
    monkeypatch.setattr(root, "plugins", lambda: {"extra": point})
    result = corvo("extra")
    assert result.exit_code == 1
    assert "The entry point extra of corvo.commands names json:dumps" in result.stderr


@pytest.fixture
def without_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [])
    monkeypatch.delitem(sys.modules, "corvo_cli.commands.server", raising=False)


@pytest.mark.usefixtures("without_server")
@pytest.mark.parametrize("arguments", [(), ("--bind", "127.0.0.1:0"), ("backup", "x")])
def test_missing_server_package_prints_how_to_install_it(
    corvo: Any, arguments: tuple[str, ...]
) -> None:
    result = corvo("server", *arguments)
    assert result.exit_code == 1
    assert "`pip install corvo-server`" in result.stderr
    sys.modules.pop("corvo_cli.commands.server", None)


def test_plugins_are_found_by_entry_points() -> None:
    pytest.importorskip("corvo_server")
    found = plugins.plugins()
    assert found["server"].group == "corvo.commands"
    assert isinstance(plugins.load(found["server"]), click.Command)


@pytest.mark.parametrize("words", [[], ["enqueue"], ["bulk"]])
def test_help_imports_no_slow_module(words: list[str]) -> None:
    code = (
        f"import sys; from corvo_cli.main import main; sys.argv = {['corvo', *words, '--help']}\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'asyncio', 'corvo_schema', 'corvo_server', 'httpx', 'multiprocessing'}\n"
        "heavy |= {'pydantic', 'rich', 'sanic', 'sqlalchemy', 'sqlite3', 'ssl', 'textual'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    # Coverage runs in every process and imports some of these modules itself.
    bare = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=bare
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert f"Usage: {' '.join(['corvo', *words])} " in done.stdout


def test_module_can_be_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "corvo_cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"corvo, version {__version__}\n"


def test_main_runs_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["corvo", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"corvo, version {__version__}\n"


def test_output_is_utf_8_in_every_locale(tmp_path: Path) -> None:
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "corvo_cli", "--profile", "é", "info"],
        check=False,
        capture_output=True,
        env={**environment, "CORVO_CONFIG": str(tmp_path / "none")},
    )
    assert done.returncode == 2
    assert "There is no profile 'é'" in done.stderr.decode()


def test_session_is_created_if_none_is_given() -> None:
    result = CliRunner().invoke(command, ["info", "--server", "http://127.0.0.1:1"])
    assert result.exit_code == 6
