"""The documentation is correct: its code runs and its links have a target.

Each page has a server. Blocks of `python` run against it in the order of the page. Blocks of
`python norun` are only compiled. A block with `title="tasks.py"` is a file of that name for the
blocks that follow. Bash runs blocks of `bash run`. The server of the page replaces
`http://localhost:8080` and is the default server.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support.server import CorvoServer, StartServer

ROOT = Path(__file__).parents[2]
SERVER = "http://localhost:8080"
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "packages/*/README.md")
    for page in ROOT.glob(pattern)
)
_BLOCK = re.compile(r"^```([^\n`]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r'python title="([\w.]+)"')
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block: its info string and its content."""

    info: str
    code: str
    line: int


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        yield Block(match[1].strip(), match[2], line)


def is_run(block: Block) -> bool:
    return block.info in {"python", "bash run"}


PAGES_THAT_RUN = [page for page in PAGES if any(map(is_run, blocks_of(page)))]


@pytest.fixture
def page_server(start_server: StartServer) -> CorvoServer:
    return start_server(webhook_allow="127.0.0.1")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_blocks_compile(page: Path) -> None:
    for block in blocks_of(page):
        if block.info.startswith("python"):
            compile("\n" * (block.line - 1) + block.code, name_of(page), "exec")


@pytest.mark.parametrize("page", PAGES_THAT_RUN, ids=name_of)
def test_code_blocks_run(page: Path, page_server: CorvoServer, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "CORVO_SERVER": page_server.url,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONPATH": str(tmp_path),
    }
    for block in blocks_of(page):
        code = block.code.replace(SERVER, page_server.url)
        if file := _FILE.fullmatch(block.info):
            (tmp_path / file[1]).write_text(code, encoding="utf-8")
        if not is_run(block):
            continue
        if block.info == "python":
            command = [sys.executable, "-W", "error", "-c", f"__name__ = 'documented'\n{code}"]
        else:
            command = ["bash", "-euo", "pipefail", "-c", code]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        where = f"{name_of(page)}:{block.line}"
        assert done.returncode == 0, f"{where}\n{block.code}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_have_a_target(page: Path) -> None:
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    missing = [
        link
        for link in links
        if "://" not in link
        and not link.startswith("#")
        and not (page.parent / link.partition("#")[0]).exists()
    ]
    assert missing == []


def test_some_pages_have_code_that_runs() -> None:
    assert {"README.md", "docs/guide.md"} <= {name_of(page) for page in PAGES_THAT_RUN}
