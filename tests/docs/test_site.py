"""The site has all that the code has."""

import html
import re
from pathlib import Path

import pytest

import corvo_client
from corvo_cli.catalog import COMMANDS
from corvo_client import worker
from corvo_server.app import RESOURCES
from corvo_server.settings import Settings, variable_of


def ids_of(page: Path) -> set[str]:
    """What can be linked to in a page."""
    return set(re.findall(r' id="([^"]+)"', page.read_text(encoding="utf-8")))


def words_of(page: Path) -> str:
    """The text of a page."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_every_endpoint_has_its_place(site: Path) -> None:
    page = site / "reference/http/index.html"
    endpoints = [endpoint for resource in RESOURCES for endpoint in resource.endpoints]
    assert {endpoint.handler.__name__ for endpoint in endpoints} <= ids_of(page)
    words = words_of(page)
    assert [e.summary for e in endpoints if e.summary.replace("`", "") not in words] == []


def test_every_command_has_its_place(site: Path) -> None:
    ids = ids_of(site / "reference/cli/index.html")
    assert {f"corvo-{name}" for name in COMMANDS} <= ids
    assert {"corvo-schedules-set", "corvo-bulk-retry", "corvo-server-backup"} <= ids


def test_every_method_of_the_client_has_its_place(site: Path) -> None:
    methods = {name for name in dir(corvo_client.Client) if not name.startswith("_")}
    ids = ids_of(site / "reference/sdk/index.html")
    assert {f"corvo_client.Client.{name}" for name in methods} <= ids


def test_every_error_has_its_place(site: Path) -> None:
    words = words_of(site / "reference/sdk/index.html")
    errors = [
        name
        for name in corvo_client.__all__
        if isinstance(getattr(corvo_client, name), type)
        and issubclass(getattr(corvo_client, name), corvo_client.CorvoError)
    ]
    assert errors
    assert [name for name in errors if name not in words] == []


def test_the_worker_is_there_with_what_handlers_use(site: Path) -> None:
    ids = ids_of(site / "reference/worker/index.html")
    for name in ("Worker.task", "Context.checkpoint", "Task.enqueue_sync", "Snooze", "Cancel"):
        assert hasattr(worker, name.partition(".")[0])
        assert f"corvo_client.worker.{name}" in ids


def test_every_setting_is_there(site: Path) -> None:
    words = words_of(site / "settings/index.html")
    assert [name for name in Settings.model_fields if variable_of(name) not in words] == []


@pytest.mark.parametrize("package", ["server", "client", "cli", "schema"])
def test_every_changelog_is_there(site: Path, package: str) -> None:
    assert "Unreleased" in words_of(site / f"changelog/corvo-{package}/index.html")


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loads = re.compile(r'<(?:script|img|link rel="stylesheet")[^>]* (?:src|href)="(https?:[^"]*)"')
    pages = list(site.rglob("*.html"))
    assert pages
    assert {url for page in pages for url in loads.findall(page.read_text("utf-8"))} == set()


def test_marks_for_our_own_tests_are_not_shown(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "```" not in text, page
        assert "&lt;!-- built" not in text, page
