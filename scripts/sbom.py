"""Writes what a release is made of, as CycloneDX.

    python scripts/sbom.py wheel dist/corvo_server-1.2.0-py3-none-any.whl -o server.cdx.json
    python scripts/sbom.py image corvo-server:1.2.0 -o image.cdx.json

Of a wheel: the wheel, and what an installer puts beside it today; other wheels of ours are taken
from its directory. Of an image: the Python packages of its /opt/corvo, Python, and the packages of
its distribution. Needs cyclonedx-py and uv beside this Python, and docker for images.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SCRIPTS = Path(sys.executable).parent
_OF_IMAGES = ("/opt/corvo", "/var/lib/dpkg/status", "/etc/os-release")
"""What is read of an image. The last two are not in every image."""

Bom = dict[str, Any]


def of_wheel(wheel: Path) -> Bom:
    """The bill of a wheel: itself as what it is about, its dependencies as components."""
    name, version = re.match(r"([^-]+)-([^-]+)-", wheel.name).groups()  # type: ignore[union-attr]
    name = name.replace("_", "-")
    with tempfile.TemporaryDirectory(prefix="corvo-sbom-") as directory:
        environment = _environment(Path(directory))
        # By name, from the directory: an install from the file would note where that has been.
        wanted = ("--find-links", str(wheel.parent), f"{name}=={version}")
        _run("uv", "pip", "install", "--quiet", "--python", str(environment), *wanted)
        bom = _bom(environment)
    (about,) = (found for found in bom["components"] if found["name"] == name)
    bom["components"].remove(about)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    about["hashes"] = [{"alg": "SHA-256", "content": digest}]
    bom["metadata"]["component"] = about
    return bom


def of_image(root: Path, reference: str, version: str, digest: str) -> Bom:
    """The bill of an image, of whose file system `root` has the part in `_OF_IMAGES`."""
    (packages,) = root.glob("opt/corvo/lib/python3*/site-packages")
    with tempfile.TemporaryDirectory(prefix="corvo-sbom-") as directory:
        environment = _environment(Path(directory))
        (target,) = environment.glob("lib/python3*/site-packages")
        # What is read may be for another Python. Left out: files of paths, which would be run, and
        # notes of which directory of the builder a package came from.
        unwanted = shutil.ignore_patterns("*.pth", "direct_url.json")
        shutil.copytree(packages, target, ignore=unwanted, dirs_exist_ok=True)
        bom = _bom(environment)
    name = reference.rpartition("/")[2].partition("@")[0].partition(":")[0]
    about = {"type": "container", "bom-ref": "image", "name": name, "version": version}
    about["description"] = f"{reference} ({digest})"
    bom["metadata"]["component"] = about
    of_system = [_python(root), *_distribution(root)]
    bom["components"] += of_system
    ours = next(found for found in bom["components"] if found["name"] == "corvo-server")
    depends = sorted([ours["bom-ref"], *(found["bom-ref"] for found in of_system)])
    bom["dependencies"].append({"ref": "image", "dependsOn": depends})
    return bom


def read_image(reference: str, root: Path) -> tuple[str, str]:
    """Copy `_OF_IMAGES` from an image to `root`; the image's version and digest."""
    form = '{{index .Config.Labels "org.opencontainers.image.version"}} {{.Id}}'
    version, _, digest = (
        _run("docker", "inspect", "--format", form, reference).strip().rpartition(" ")
    )
    container = _run("docker", "create", reference).strip()
    try:
        for place in _OF_IMAGES:
            command = ["docker", "cp", "--follow-link", f"{container}:{place}", "-"]
            copied = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
            if copied.returncode == 0:
                target = (root / place.lstrip("/")).parent
                target.mkdir(parents=True, exist_ok=True)
                unpack = ["tar", "--extract", "--no-same-owner", "--directory", str(target)]
                subprocess.run(unpack, input=copied.stdout, check=True)  # noqa: S603
    finally:
        _run("docker", "rm", "--volumes", container)
    return version or "unknown", digest


def main(arguments: list[str]) -> int:
    """Write one; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=("wheel", "image"))
    parser.add_argument("subject", help="the file, or the reference of the image")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    if options.kind == "wheel":
        bom = of_wheel(Path(options.subject))
    else:
        with tempfile.TemporaryDirectory(prefix="corvo-image-") as directory:
            root = Path(directory)
            bom = of_image(root, options.subject, *read_image(options.subject, root))
    options.output.write_text(json.dumps(bom, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return 0


def _environment(directory: Path) -> Path:
    """An empty virtual environment."""
    path = directory / "environment"
    _run("uv", "venv", "--quiet", "--python", sys.executable, str(path))
    return path


def _bom(environment: Path) -> Bom:
    options = ("--output-reproducible", "--of", "JSON", "--sv", "1.6")
    bom: Bom = json.loads(_run("cyclonedx-py", "environment", *options, str(environment)))
    return bom


def _python(root: Path) -> dict[str, Any]:
    settings = (root / "opt/corvo/pyvenv.cfg").read_text(encoding="utf-8")
    (version,) = re.findall(r"^version\w* = ([\d.]+)", settings, re.MULTILINE)
    purl = f"pkg:generic/python@{version}"
    return {"type": "platform", "bom-ref": purl, "purl": purl, "name": "python", "version": version}


def _distribution(root: Path) -> Iterator[dict[str, Any]]:
    """The packages of a Debian-like system, from dpkg's own list."""
    status, release = root / "var/lib/dpkg/status", root / "etc/os-release"
    if not status.exists():
        return
    system = dict(re.findall(r'^(\w+)="?([^"\n]*)', release.read_text("utf-8"), re.MULTILINE))
    for paragraph in status.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): (.*)$", paragraph, re.MULTILINE))
        if not fields.get("Status", "").endswith(" installed"):
            continue
        name, version = fields["Package"], fields["Version"]
        distro = f"{system['ID']}-{system.get('VERSION_ID', 'unstable')}"
        quoted = version.replace(":", "%3A").replace("+", "%2B")
        purl = (
            f"pkg:deb/{system['ID']}/{name}@{quoted}?arch={fields['Architecture']}&distro={distro}"
        )
        yield {"type": "library", "bom-ref": purl, "purl": purl, "name": name, "version": version}


def _run(*command: str) -> str:
    """What a program prints. Its message is ours when it fails."""
    beside = _SCRIPTS / command[0]
    program = str(beside) if beside.exists() else command[0]
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"`{' '.join(command)}` failed:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
