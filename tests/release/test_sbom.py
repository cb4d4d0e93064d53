"""`scripts/sbom.py`: the SBOMs of wheels and of the image."""

import hashlib
import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from release.environments import Environments
from release.wheels import PACKAGES, wheel_of

_STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library
 Version: of no importance

Package: perl
Status: deinstall ok config-files
Architecture: amd64
Version: 5.36.0-7

Package: zlib1g
Status: install ok installed
Architecture: amd64
Version: 1:1.2.13.dfsg-1
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_the_sbom_of_a_wheel_lists_the_package_and_its_dependencies(
    package: str, environments: Environments
) -> None:
    wheel = wheel_of(package, environments.wheels)
    text = wheel.path.with_suffix(".cdx.json").read_text(encoding="utf-8")
    assert str(wheel.path.parent) not in text
    described = json.loads(text)
    about = described["metadata"]["component"]
    assert about["purl"] == f"pkg:pypi/{package}@{wheel.version}"
    digest = hashlib.sha256(wheel.path.read_bytes()).hexdigest()
    assert about["hashes"] == [{"alg": "SHA-256", "content": digest}]
    names = {normal(component["name"]) for component in described["components"]}
    assert names == environments.with_(package).distributions() - {package}
    assert depended_on(described, about["bom-ref"]) & {"pydantic", "corvo-schema"}


@pytest.fixture
def sbom(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", root / "scripts/sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sbom_of_an_image_lists_python_and_system_packages(
    sbom: ModuleType, environments: Environments, tmp_path: Path
) -> None:
    installed = environments.with_("corvo-server")
    (packages,) = installed.path.glob("lib/python3*/site-packages")
    shutil.copytree(packages, tmp_path / "opt/corvo/lib/python3.12/site-packages")
    (tmp_path / "opt/corvo/pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.11\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(_STATUS)

    described = sbom.of_image(
        tmp_path, "example.org/corvo/corvo-server:1.2.0", "1.2.0", "sha256:ab"
    )

    about = described["metadata"]["component"]
    assert (about["type"], about["name"], about["version"]) == (
        "container",
        "corvo-server",
        "1.2.0",
    )
    purls = {component["purl"] for component in described["components"]}
    assert "pkg:generic/python@3.12.11" in purls
    assert {purl for purl in purls if purl.startswith("pkg:deb/")} == {
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12",
        "pkg:deb/debian/zlib1g@1%3A1.2.13.dfsg-1?arch=amd64&distro=debian-12",
    }
    assert any(purl.startswith("pkg:pypi/sanic@") for purl in purls)
    assert depended_on(described, "image") == {"corvo-server", "libc6", "python", "zlib1g"}


def normal(name: str) -> str:
    """Return the normalized name of a package."""
    return name.lower().replace("_", "-").replace(".", "-")


def depended_on(document: dict[str, Any], reference: str) -> set[str]:
    """Return the names of the direct dependencies of a component."""
    names = {found["bom-ref"]: normal(found["name"]) for found in document["components"]}
    (entry,) = (entry for entry in document["dependencies"] if entry["ref"] == reference)
    return {names[needed] for needed in entry["dependsOn"]}
