"""The chart, rendered by the Helm of `CORVO_HELM` or PATH. Without Helm, tests are skipped."""

import importlib.util
import os
import shutil

import pytest

from support.chart import Chart


@pytest.fixture(scope="session")
def chart() -> Chart:
    for package in ("kubernetes_validate", "yaml", "cloudcoil"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: run nox -s chart")
    helm = os.environ.get("CORVO_HELM") or shutil.which("helm")
    if not helm:
        pytest.skip("helm is not on PATH: run nox -s chart")
    return Chart(helm)
