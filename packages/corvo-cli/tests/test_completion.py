"""Shell completion and its scripts."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from click.shell_completion import ShellComplete

from corvo_cli.root import corvo as command


def complete(session: Any, *words: str) -> list[str]:
    """Return the completions of the last word."""
    completer = ShellComplete(command, {"obj": session}, "corvo", "_CORVO_COMPLETE")
    return [item.value for item in completer.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("shell", "part"),
    [
        ("bash", "complete -o nosort -F _corvo_completion corvo"),
        ("zsh", "#compdef corvo"),
        ("fish", "complete --no-files --command corvo"),
    ],
)
def test_script_is_for_the_given_shell(corvo: Any, shell: str, part: str) -> None:
    result = corvo("completion", shell)
    assert result.exit_code == 0
    assert part in result.stdout
    assert "_CORVO_COMPLETE" in result.stdout


def test_unknown_shell_is_wrong_usage(corvo: Any) -> None:
    assert corvo("completion", "tcsh").exit_code == 2


def test_commands_are_completed(make_session: Any) -> None:
    assert complete(make_session(), "en") == ["enqueue"]
    assert {"pause", "priority"} <= set(complete(make_session(), "p"))


def test_options_and_choices_are_completed(make_session: Any) -> None:
    assert complete(make_session(), "enqueue", "--retry-b") == [
        "--retry-backoff",
        "--retry-base-delay",
    ]
    assert complete(make_session(), "enqueue", "--priority", "c") == ["critical"]


def test_queues_of_the_server_are_completed(make_session: Any, server: Any) -> None:
    server.answer("GET /queues", [{"name": "emails"}, {"name": "exports"}, {"name": "reports"}])
    assert complete(make_session(), "pause", "e") == ["emails", "exports"]


def test_unreachable_server_completes_no_queues(make_session: Any, server: Any) -> None:
    server.fail("GET /queues", httpx.ConnectError("refused"))
    assert complete(make_session(), "pause", "e") == []
    assert len(server.requests) == 1


def test_profiles_of_the_file_are_completed(make_session: Any, environment: dict[str, str]) -> None:
    path = Path(environment["CORVO_CONFIG"])
    path.write_text("[profiles.local]\n[profiles.production]\n", encoding="utf-8")
    assert complete(make_session(), "--profile", "p") == ["production"]
    path.write_text("[", encoding="utf-8")
    assert complete(make_session(), "--profile", "p") == []
