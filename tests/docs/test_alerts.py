"""The alerts for Prometheus: sound, about metrics that there are, and each with a way to act."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "corvo.rules.yaml"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]
]
NAMES = [alert["alert"] for alert in ALERTS]

_METRIC = re.compile(r"\b(corvo_\w+?)(?:_bucket|_sum|_count)?\b(?=[{\[\s)])")


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_expression_is_one(alert: dict[str, Any]) -> None:
    promql_parser.parse(alert["expr"])


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_it_asks_for_metrics_that_there_are(alert: dict[str, Any], root: Path) -> None:
    table = (root / "docs/operations.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `(corvo_\w+)` \|", table, re.MULTILINE))
    asked = set(_METRIC.findall(alert["expr"]))
    assert asked or alert["expr"].startswith("up{")
    assert asked <= known


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_it_says_how_urgent_it_is_and_what_it_means(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook"}


def test_the_page_has_one_section_for_each_alert(root: Path) -> None:
    page = (root / "docs/operations.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^### (Corvo\w+)$", page, re.MULTILINE)) == sorted(NAMES)


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_it_links_to_its_section(alert: dict[str, Any]) -> None:
    assert alert["annotations"]["runbook"] == f"docs/operations.md#{alert['alert'].lower()}"


def test_promtool_agrees_and_they_ring_when_they_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; Debian's package prometheus has it")
    for arguments in (
        ("check", "rules", RULES),
        ("test", "rules", RULES.with_suffix(".test.yaml")),
    ):
        done = subprocess.run(
            [promtool, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
