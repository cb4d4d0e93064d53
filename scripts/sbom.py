"""Write the bill of materials (SBOM) of a release, in CycloneDX format.

    python scripts/sbom.py wheel dist/corvo_server-1.2.0-py3-none-any.whl -o server.cdx.json
    python scripts/sbom.py image corvo-server:1.2.0 -o image.cdx.json

The SBOM of a wheel lists the wheel and the dependencies that an installer chooses today. Wheels of
other Corvo packages are taken from its directory. The SBOM of an image lists the Python packages in
its /opt/corvo, Python, and the packages of its distribution. Requires cyclonedx-py and uv in the
environment of this Python, and docker for images.
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
_IMAGE_PATHS = ("/opt/corvo", "/var/lib/dpkg/status", "/etc/os-release")
"""Paths that are copied from an image. Not every image has the last two."""

Bom = dict[str, Any]


def of_wheel(wheel: Path) -> Bom:
    """Return the SBOM of a wheel: the wheel as its subject, the dependencies as components."""
    name, version = re.match(r"([^-]+)-([^-]+)-", wheel.name).groups()  # type: ignore[union-attr]
    name = name.replace("_", "-")
    with tempfile.TemporaryDirectory(prefix="corvo-sbom-") as directory:
        environment = _environment(Path(directory))
        # Install by name: an install from the file would record the path of the file.
        # uv caches wheels by their path: an earlier build of this version could be installed.
        refresh = f"--refresh-package={name}"
        wanted = (refresh, "--find-links", str(wheel.parent), f"{name}=={version}")
        _run("uv", "pip", "install", "--quiet", "--python", str(environment), *wanted)
        bom = _bom(environment)
    (about,) = (found for found in bom["components"] if found["name"] == name)
    bom["components"].remove(about)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    about["hashes"] = [{"alg": "SHA-256", "content": digest}]
    bom["metadata"]["component"] = about
    return bom


def of_image(root: Path, reference: str, version: str, digest: str) -> Bom:
    """Return the SBOM of an image. `root` contains its `_IMAGE_PATHS`."""
    (packages,) = root.glob("opt/corvo/lib/python3*/site-packages")
    with tempfile.TemporaryDirectory(prefix="corvo-sbom-") as directory:
        environment = _environment(Path(directory))
        (target,) = environment.glob("lib/python3*/site-packages")
        # The packages may be for another Python, so nothing of them may run: .pth files would. A
        # direct_url.json contains a path of the builder.
        unwanted = shutil.ignore_patterns("*.pth", "direct_url.json")
        shutil.copytree(packages, target, ignore=unwanted, dirs_exist_ok=True)
        bom = _bom(environment)
    name = reference.rpartition("/")[2].partition("@")[0].partition(":")[0]
    about = {"type": "container", "bom-ref": "image", "name": name, "version": version}
    about["description"] = f"{reference} ({digest})"
    bom["metadata"]["component"] = about
    system_packages = [_python(root), *_distribution(root)]
    bom["components"] += system_packages
    server = next(found for found in bom["components"] if found["name"] == "corvo-server")
    depends_on = sorted([server["bom-ref"], *(found["bom-ref"] for found in system_packages)])
    bom["dependencies"].append({"ref": "image", "dependsOn": depends_on})
    return bom


def read_image(reference: str, root: Path) -> tuple[str, str]:
    """Copy `_IMAGE_PATHS` from an image to `root`. Return the image's version and digest."""
    form = '{{index .Config.Labels "org.opencontainers.image.version"}} {{.Id}}'
    version, _, digest = (
        _run("docker", "inspect", "--format", form, reference).strip().rpartition(" ")
    )
    container = _run("docker", "create", reference).strip()
    try:
        for path in _IMAGE_PATHS:
            command = ["docker", "cp", "--follow-link", f"{container}:{path}", "-"]
            copied = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
            if copied.returncode == 0:
                target = (root / path.lstrip("/")).parent
                target.mkdir(parents=True, exist_ok=True)
                unpack = ["tar", "--extract", "--no-same-owner", "--directory", str(target)]
                subprocess.run(unpack, input=copied.stdout, check=True)  # noqa: S603
    finally:
        _run("docker", "rm", "--volumes", container)
    return version or "unknown", digest


def main(arguments: list[str]) -> int:
    """Write one SBOM. Return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=("wheel", "image"))
    parser.add_argument("subject", help="path of the wheel, or reference of the image")
    parser.add_argument("-o", "--output", type=Path, required=True, help="path of the SBOM")
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
    """Create an empty virtual environment and return its path."""
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
    """Yield the packages of a Debian-like system, from the status file of dpkg."""
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
    """Run a program and return its output. Raises `SystemExit` with its errors if it fails."""
    local = _SCRIPTS / command[0]
    program = str(local) if local.exists() else command[0]
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"`{' '.join(command)}` failed:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
