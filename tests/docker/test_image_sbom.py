"""The SBOM of the image, which a release signs."""

import json
import subprocess
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from corvo_server.__about__ import __version__
from server_support.process import python

SCRIPT = Path(__file__).parents[2] / "scripts/sbom.py"


@pytest.fixture(scope="module")
def sbom(image: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("sbom") / "image.cdx.json"
    command = python(SCRIPT, "image", image, "--output", path)
    subprocess.run(command, check=True, timeout=300)
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def test_sbom_describes_this_image(sbom: dict[str, Any]) -> None:
    about = sbom["metadata"]["component"]
    assert (about["type"], about["version"]) == ("container", __version__)
    assert "sha256:" in about["description"]


def test_sbom_lists_the_server_and_its_requirements(sbom: dict[str, Any]) -> None:
    names = {
        component["purl"].removeprefix("pkg:pypi/").partition("@")[0]
        for component in sbom["components"]
        if component["purl"].startswith("pkg:pypi/")
    }
    needed = [Requirement(text) for text in requires("corvo-server") or ()]
    expected = {
        need.name for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})
    }
    assert {"corvo-server"} | expected <= names


def test_sbom_lists_python_and_system_packages(sbom: dict[str, Any]) -> None:
    purls = [component["purl"] for component in sbom["components"]]
    assert sum(purl.startswith("pkg:generic/python@3.") for purl in purls) == 1
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in purls)
    assert len(purls) == len(set(purls))
