"""An earlier and a later version of the server than the one that is checked out.

A version is a directory of sources that precedes the installed packages on Python's path.
"""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SOURCES = ("packages/corvo-server/src", "packages/corvo-schema/src")
_WORKS_WITH = "works with servers of schema version"
"""Words of the first version whose servers start on a database that a newer one has migrated."""
_ABOUT = "corvo_server/__about__.py"
_MIGRATIONS = "corvo_server/store/postgres/migrations"
Environment = dict[str, str]
"""The environment variables that make Python import a version."""


class VersionMissing(Exception):
    """Raised if another version is not available. The message has the reason."""


def version_before(folder: Path) -> Environment:
    """Return the newest release before this commit, or else the first version that may be mixed."""
    commit = _git("describe", "--tags", "--match", "corvo-server-v*", "--abbrev=0", "HEAD^")
    if commit is None:
        commit = _git("log", "--format=%H", f"-S{_WORKS_WITH}", "HEAD^", "--", _SOURCES[0])
        commit = commit and commit.split()[-1]
    if not commit:
        raise VersionMissing("the git history has no earlier version")
    archive = folder.with_suffix(".zip")
    if _git("archive", "--output", archive, commit, *_SOURCES) is None:
        raise VersionMissing(f"git has no sources of {commit}")
    shutil.unpack_archive(archive, folder)
    places = [folder / part for part in _SOURCES]
    (places[0] / _ABOUT).write_text('__version__ = "0.0.1"\n')
    return {"PYTHONPATH": ":".join(map(str, places))}


def version_to_come(folder: Path, migration: str) -> Environment:
    """Return this version with one more migration of the database."""
    spec = find_spec("corvo_server")
    if spec is None or spec.origin is None:
        raise VersionMissing("corvo_server is not installed")
    shutil.copytree(Path(spec.origin).parent, folder / "corvo_server")
    (folder / _ABOUT).write_text('__version__ = "999.0.0"\n')
    number = len(list((folder / _MIGRATIONS).glob("*.sql"))) + 1
    (folder / _MIGRATIONS / f"{number:04}_to_come.sql").write_text(migration)
    return {"PYTHONPATH": str(folder)}


def _git(*arguments: str | Path) -> str | None:
    """Return the output of git; None if git fails or is not installed."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, *arguments]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
