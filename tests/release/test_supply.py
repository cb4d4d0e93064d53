"""What a release is made of: the base image, the licences, and what Dependabot looks after."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest

DIGEST = "sha256:" + "0" * 64

Load = Callable[[str], Any]


@pytest.fixture
def load(root: Path) -> Load:
    """Load a script by its path."""

    def load_script(path: str) -> Any:
        spec = spec_from_file_location(Path(path).stem, root / path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load_script


# The base image


def test_both_dockerfiles_name_the_same_base_image(root: Path, load: Load) -> None:
    name, _ = load("docker/base_image.py").read((root / "docker/base/Dockerfile").read_text())
    assert f"ARG BASE_IMAGE={name}\n" in (root / "docker/Dockerfile").read_text()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# x\nFROM python:3.13-slim\n", ("python:3.13-slim", None)),
        (f"FROM python:3.13-slim@{DIGEST}\n", ("python:3.13-slim", DIGEST)),
        (f"FROM ghcr.io/a/b:1@{DIGEST}\n", ("ghcr.io/a/b:1", DIGEST)),
    ],
)
def test_base_image_is_read(load: Load, text: str, found: tuple[str, str | None]) -> None:
    assert load("docker/base_image.py").read(text) == found


@pytest.mark.parametrize(
    "line",
    [
        "",
        "FROM python",
        f"FROM python@{DIGEST}",
        f"FROM python:3.13-slim@{DIGEST[:-1]}",
        "FROM python:3.13-slim@sha256:latest",
        "FROM a:1\nFROM b:1",
    ],
)
def test_other_forms_of_a_base_image_are_refused(load: Load, line: str) -> None:
    script = load("docker/base_image.py")
    with pytest.raises(script.BaseImageError, match="name:tag@sha256:digest"):
        script.read(line)


def test_base_image_without_digest_fails_the_check(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = load("docker/base_image.py")
    monkeypatch.setattr(script, "FILE", tmp_path / "Dockerfile")
    script.FILE.write_text("FROM python:3.13-slim\n")
    assert script.main(["--check"]) == 1
    assert "run python docker/base_image.py --pin" in capsys.readouterr().err
    monkeypatch.setattr(script, "digest_of", lambda _: DIGEST)
    assert script.main(["--pin"]) == 0
    assert script.main(["--check"]) == 0
    assert capsys.readouterr().out.split() == [f"python:3.13-slim@{DIGEST}"] * 2


def test_release_of_an_image_checks_and_passes_the_digest(root: Path) -> None:
    workflow = (root / ".github/workflows/release.yml").read_text()
    assert "image=$(python docker/base_image.py --check)" in workflow
    assert "BASE_IMAGE=${{ steps.base.outputs.image }}" in workflow


def test_local_release_refuses_an_image_without_digest(root: Path) -> None:
    done = subprocess.run(
        ["/bin/bash", "docker/build.sh", "--release"],
        cwd=root,
        env=os.environ | {"BASE_IMAGE": "python:3.13-slim", "GIT_DIR": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "BASE_IMAGE must have a digest" in done.stderr


# Pins


def test_release_installs_only_pins_with_hashes(root: Path) -> None:
    workflow = (root / ".github/workflows/release.yml").read_text()
    installs = [line for line in workflow.splitlines() if "pip install" in line]
    assert installs
    for line in installs:
        assert "--require-hashes --requirement docker/release-requirements.txt" in line


# Licences


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-2.0-only)", True),
        ("MIT AND GPL-2.0-only OR ISC", True),
        ("(MIT", False),
        ("MIT)", False),
        ("MIT ISC", False),
        ("MIT AND", False),
        ("", False),
        ("Do what you want, but ask me first", False),
    ],
)
def test_licence_expressions(load: Load, licence: str, *, allowed: bool) -> None:
    assert load("scripts/licences.py").is_allowed(licence) is allowed


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ("License-Expression: MIT", None),
        ("Classifier: License :: OSI Approved :: MIT License", None),
        ("License: Apache License 2.0", None),
        ("License-Expression: AGPL-3.0-only", "odd has the licence 'AGPL-3.0-only'"),
        ("Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)", "GPLv3"),
        ("Summary: no licence at all", "odd names no licence"),
    ],
)
def test_licences_of_packages_are_read(
    root: Path, tmp_path: Path, metadata: str, fault: str | None
) -> None:
    folder = tmp_path / "odd-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: odd\nVersion: 1.0\n{metadata}\n"
    )
    command = [sys.executable, root / "scripts/licences.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (fault is not None), done.stderr
    assert (fault or "") in done.stderr


# Vulnerabilities


def test_first_service_that_answers_is_asked(load: Load) -> None:
    script = load("scripts/vulnerability_service.py")
    asked: list[str] = []

    def answers(question: Request) -> bool:
        asked.append(question.full_url)
        return "osv" in question.full_url

    assert script.find_service(answers) == "osv"
    assert len(asked) == 2
    assert script.find_service(lambda _: False) is None


@pytest.mark.parametrize(
    ("body", "answers"),
    [
        ('{"vulnerabilities": []}', True),
        ('{"vulns": [{"id": "x"}]}', True),
        ("{}", False),
        ("[]", False),
        ("<html>a mirror</html>", False),
    ],
)
def test_mirror_without_vulnerabilities_does_not_count(
    load: Load, tmp_path: Path, body: str, *, answers: bool
) -> None:
    page = tmp_path / "answer"
    page.write_text(body)
    script = load("scripts/vulnerability_service.py")
    assert script.answers(Request(page.as_uri())) is answers  # noqa: S310 - our own file
    page.unlink()
    assert not script.answers(Request(page.as_uri()))  # noqa: S310 - our own file


# Dependabot


def test_dependabot_looks_after_every_kind_of_pin(root: Path) -> None:
    text = (root / ".github/dependabot.yml").read_text()
    git = shutil.which("git")
    assert git is not None
    tracked = subprocess.run(
        [git, "ls-files"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split()
    kinds = {
        "pip": {Path(name).parent for name in tracked if is_pins(name)},
        "npm": {Path(name).parent for name in tracked if Path(name).name == "package.json"},
        "docker": {Path("docker/base")},
        "github-actions": {Path()},
    }
    for kind, folders in kinds.items():
        assert folders, kind
        for folder in folders:
            path = "/" if folder == Path() else f"/{folder}"
            assert f"package-ecosystem: {kind}\n    directory: {path}\n" in text, (kind, path)


def is_pins(name: str) -> bool:
    return name.endswith("requirements.txt") or ("/requirements/" in name and name.endswith(".txt"))


def test_security_policy_says_how_to_report(root: Path) -> None:
    policy = (root / "SECURITY.md").read_text()
    for heading in ("## Report a vulnerability", "## Supported versions"):
        assert heading in policy
    assert "docs/threat-model.md" in policy
