"""Helm, which is `CORVO_HELM` or on PATH. Without it tests are skipped: `nox -s chart` has it."""

import importlib.util
import os
import shutil

import pytest

from support.chart import Chart


@pytest.fixture(scope="session")
def chart() -> Chart:
    for package in ("kubernetes_validate", "yaml", "cloudcoil"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is missing: nox -s chart has it")
    helm = os.environ.get("CORVO_HELM") or shutil.which("helm")
    if not helm:
        pytest.skip("there is no Helm on PATH: nox -s chart has it")
    return Chart(helm)
