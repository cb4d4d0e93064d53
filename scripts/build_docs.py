"""Builds the documentation as a site, and fails for a link that leads nowhere.

    python scripts/build_docs.py DIRECTORY

The site is put into DIRECTORY/site. What the code knows best is written into the pages on the way:
`<!-- built: cli -->` in a page of the repository stands for the reference of the commands. The
changelogs of the packages become pages, too.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from docs_cli import cli_reference
from docs_http import http_reference

ROOT = Path(__file__).parent.parent
PACKAGES = ("corvo-server", "corvo-client", "corvo-cli", "corvo-schema")
BUILT: dict[str, Callable[[], Iterator[str]]] = {"cli": cli_reference, "http": http_reference}

OPTIONAL = {"benchmarks.md", "postgres.md"}
"""Pages that the navigation may name before they are there."""

_MARK = re.compile(r"^<!-- built: (\w+) -->$", re.MULTILINE)
_WHETHER_RUN = re.compile(r"^(```\w+) (?:(?:no)?run|docker|compose)$", re.MULTILINE)
_UPWARDS = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)\s#]+)\)")
_TITLE = re.compile(r"^# (?:\d+\. )?(.*)$", re.MULTILINE)
_NAV_PAGE = re.compile(r"^ +- [^:#\n]+: (\S+\.md)\n", re.MULTILINE)
_NAV_FOLDER = re.compile(r"^( +)- ([^:#\n]+): (\w+)/$", re.MULTILINE)


def stage(into: Path) -> Path:
    """Put the sources of the site together; the configuration to build them with.

    Raises `SystemExit` for a page that the navigation lacks, or that is not there.
    """
    shutil.rmtree(into, ignore_errors=True)
    docs = into / "docs"
    shutil.copytree(ROOT / "docs", docs)
    for source in (ROOT / "docs").rglob("*.md"):
        page = docs / source.relative_to(ROOT / "docs")
        page.write_text(_of_site(source, docs), encoding="utf-8")
    (docs / "changelog").mkdir()
    for package in PACKAGES:
        source = ROOT / "packages" / package / "CHANGELOG.md"
        text = source.read_text(encoding="utf-8").replace("# Changelog of ", "# ", 1)
        (docs / "changelog" / f"{package}.md").write_text(text, encoding="utf-8")
    configuration = into / "mkdocs.yml"
    configuration.write_text(_with_nav((ROOT / "mkdocs.yml").read_text("utf-8"), docs), "utf-8")
    return configuration


def _of_site(source: Path, docs: Path) -> str:
    """A page of the repository as it is to be on the site."""
    text = source.read_text(encoding="utf-8")
    text = _WHETHER_RUN.sub(r"\1", text)  # for our tests
    text = _UPWARDS.sub(lambda link: _within_site(link, source, docs), text)
    return _MARK.sub(lambda mark: _built(mark[1], source), text)


def _within_site(link: re.Match[str], source: Path, docs: Path) -> str:
    """A link to a file beside the documentation becomes one to a copy; to a directory, its text."""
    target = (source.parent / link[2]).resolve()
    if target.is_relative_to(ROOT / "docs"):
        return link[0]
    if not target.exists():
        raise SystemExit(f"{source}: there is no {target}")
    if target.is_dir() or target.suffix == ".md":
        return link[1]
    copy = docs / "files" / target.relative_to(ROOT)
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(target, copy)
    up = "../" * (len(source.relative_to(ROOT / "docs").parts) - 1)
    return f"[{link[1]}]({up}{copy.relative_to(docs).as_posix()})"


def _built(name: str, source: Path) -> str:
    if name not in BUILT:
        raise SystemExit(f"{source}: `built: {name}` is unknown; there are {sorted(BUILT)}")
    return "\n".join(BUILT[name]())


def _with_nav(text: str, docs: Path) -> str:
    """The configuration with the pages of folders named, and those that are not there yet left out.

    Raises `SystemExit` when the navigation and the pages do not fit together.
    """
    there = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}

    def listed(found: re.Match[str]) -> str:
        indent, title, folder = found.groups()
        lines = [f"{indent}- {title}:"]
        for page in sorted(page for page in there if page.startswith(f"{folder}/")):
            of_page = _TITLE.search((docs / page).read_text(encoding="utf-8"))
            name = of_page[1] if of_page else page
            lines.append(f'{indent}    - "{name}": {page}')
        return "\n".join(lines)

    text = _NAV_PAGE.sub(lambda line: line[0] if line[1] not in OPTIONAL - there else "", text)
    text = _NAV_FOLDER.sub(listed, text)
    in_nav = set(_NAV_PAGE.findall(text))
    lacking = [f"mkdocs.yml names {page}, which is not there" for page in in_nav - there]
    lacking += [f"docs/{page} is not in the nav of mkdocs.yml" for page in there - in_nav]
    if lacking:
        raise SystemExit("\n".join(sorted(lacking)))
    return text


def main(arguments: list[str]) -> int:
    """Stage and build; the exit code of the builder."""
    if len(arguments) != 1:
        raise SystemExit((__doc__ or "").strip())
    configuration = stage(Path(arguments[0]).resolve())
    builder = Path(sys.executable).parent / "zensical"
    command = [str(builder), "build", "--strict", "--clean", "--config-file", str(configuration)]
    return subprocess.run(command, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
