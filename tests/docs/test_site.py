"""The site documents every endpoint, command, method, error and setting."""

import html
import inspect
import json
import re
from pathlib import Path

import pytest

import corvo_client
from corvo_cli.catalog import COMMANDS
from corvo_client import worker
from corvo_server.app import RESOURCES
from corvo_server.http.openapi import describe
from corvo_server.settings import Settings, variable_of

SEARCHED_WORDS = ("logging", "timeout", "pydantic", "retry", "cron", "rate limit")
"""Words that users search for; each must be in a heading of the guide, a how-to or Operations."""


def ids_of(page: Path) -> set[str]:
    """Return the anchors of a page."""
    return set(re.findall(r' id="([^"]+)"', page.read_text(encoding="utf-8")))


def words_of(page: Path) -> str:
    """Return the text of a page."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def anchor_of(heading: str) -> str:
    """Return the anchor that the builder of the site makes from a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_every_endpoint_has_a_section(site: Path) -> None:
    page = site / "reference/http/index.html"
    endpoints = [endpoint for resource in RESOURCES for endpoint in resource.endpoints]
    anchors = {
        anchor_of(f"{method} {path}")
        for path, methods in describe(RESOURCES)["paths"].items()
        for method in methods
    }
    assert len(anchors) == len(endpoints)
    assert anchors <= ids_of(page)
    words = words_of(page)
    assert [e.summary for e in endpoints if e.summary.replace("`", "") not in words] == []


def test_every_object_has_a_section(site: Path) -> None:
    objects = describe(RESOURCES)["components"]["schemas"]
    assert objects
    ids = ids_of(site / "reference/http/index.html")
    assert {anchor_of(f"{name} object") for name in objects} <= ids


def test_every_command_has_a_section(site: Path) -> None:
    ids = ids_of(site / "reference/cli/index.html")
    assert {f"corvo-{name}" for name in COMMANDS} <= ids
    assert {"corvo-schedules-set", "corvo-bulk-retry", "corvo-server-backup"} <= ids


def test_every_method_of_the_client_has_a_section(site: Path) -> None:
    functions = inspect.getmembers(corvo_client.Client, inspect.isfunction)
    methods = {name for name, _ in functions if not name.startswith("_")}
    ids = ids_of(site / "reference/sdk/index.html")
    assert {anchor_of(f"Client.{name}") for name in methods} <= ids


def test_every_error_has_a_section(site: Path) -> None:
    ids = ids_of(site / "reference/sdk/index.html")
    errors = [
        name
        for name in corvo_client.__all__
        if isinstance(getattr(corvo_client, name), type)
        and issubclass(getattr(corvo_client, name), corvo_client.CorvoError)
    ]
    assert errors
    assert [name for name in errors if anchor_of(name) not in ids] == []


def test_the_worker_page_documents_what_handlers_use(site: Path) -> None:
    ids = ids_of(site / "reference/worker/index.html")
    for name in ("Worker.task", "Context.checkpoint", "Task.enqueue", "Snooze", "Cancel"):
        assert hasattr(worker, name.partition(".")[0])
        assert anchor_of(name) in ids


def test_every_setting_is_documented(site: Path) -> None:
    words = words_of(site / "settings/index.html")
    assert [name for name in Settings.model_fields if variable_of(name) not in words] == []


@pytest.mark.parametrize("package", ["server", "client", "cli", "schema"])
def test_every_changelog_is_a_page(site: Path, package: str) -> None:
    assert "Unreleased" in words_of(site / f"changelog/corvo-{package}/index.html")


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    loads = re.compile(r'<(?:script|img|link rel="stylesheet")[^>]* (?:src|href)="(https?:[^"]*)"')
    pages = list(site.rglob("*.html"))
    assert pages
    assert {url for page in pages for url in loads.findall(page.read_text("utf-8"))} == set()


def test_marks_for_tests_and_generators_are_removed(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "```" not in text, page
        assert "&lt;!--" not in text, page


@pytest.mark.parametrize("word", SEARCHED_WORDS)
def test_search_finds_a_section_for_a_common_word(site: Path, word: str) -> None:
    index = json.loads((site / "search.json").read_text(encoding="utf-8"))
    headings = [
        html.unescape(re.sub(r"<[^>]+>", "", section["title"])).lower()
        for section in index["items"]
        if section["location"].startswith(("guide/", "howto/", "operations/"))
    ]
    assert any(word in heading for heading in headings)
