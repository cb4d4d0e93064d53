"""Compiles the C libraries that tests preload into a server."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parent


def built(name: str, folder: Path) -> Path:
    """Compile `name`.c of this directory into `folder` and return the library.

    Without a C compiler skip the test, or fail if CORVO_REQUIRE_FAULTS=1.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        reason = "there is no C compiler (Debian: apt-get install gcc libc6-dev)"
        if os.environ.get("CORVO_REQUIRE_FAULTS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    library = folder / f"{name}.so"
    options = ("-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library))
    subprocess.run([compiler, *options, str(_FOLDER / f"{name}.c"), "-ldl"], check=True)
    return library
