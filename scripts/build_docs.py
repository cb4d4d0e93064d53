"""Build the documentation site, and fail if a link is broken.

    python scripts/build_docs.py DIRECTORY

The site is written to DIRECTORY/site. The changelogs of the packages become pages, too.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("corvo-server", "corvo-client", "corvo-cli", "corvo-schema")

_TEST_MARK = re.compile(r"^(```\w+) (?:(?:no)?run|docker|compose)$", re.MULTILINE)
_UPWARDS = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)\s#]+)\)")
_TITLE = re.compile(r"^# (?:\d+\. )?(.*)$", re.MULTILINE)
_NAV_PAGE = re.compile(r"^ +- [^:#\n]+: (\S+\.md)\n", re.MULTILINE)
_NAV_FOLDER = re.compile(r"^( +)- ([^:#\n]+): (\w+)/$", re.MULTILINE)


def stage(into: Path) -> Path:
    """Write the sources of the site into a directory; return the path of their configuration.

    Raises `SystemExit` if the navigation names a missing page, or leaves a page out.
    """
    shutil.rmtree(into, ignore_errors=True)
    docs = into / "docs"
    shutil.copytree(ROOT / "docs", docs)
    for source in (ROOT / "docs").rglob("*.md"):
        page = docs / source.relative_to(ROOT / "docs")
        page.write_text(_for_site(source, docs), encoding="utf-8")
    (docs / "changelog").mkdir()
    for package in PACKAGES:
        source = ROOT / "packages" / package / "CHANGELOG.md"
        text = source.read_text(encoding="utf-8").replace("# Changelog of ", "# ", 1)
        (docs / "changelog" / f"{package}.md").write_text(text, encoding="utf-8")
    configuration = into / "mkdocs.yml"
    configuration.write_text(_with_nav((ROOT / "mkdocs.yml").read_text("utf-8"), docs), "utf-8")
    return configuration


def _for_site(source: Path, docs: Path) -> str:
    """Return the text of a page, changed for the site.

    The words that mark code blocks for the tests are removed, and links out of `docs` are changed.
    """
    text = _TEST_MARK.sub(r"\1", source.read_text(encoding="utf-8"))
    return _UPWARDS.sub(lambda link: _within_site(link, source, docs), text)


def _within_site(link: re.Match[str], source: Path, docs: Path) -> str:
    """Return a link that works on the site.

    A link to a file outside `docs` leads to a copy of the file. A link to a directory or to
    another Markdown file outside `docs` is replaced by its text.
    """
    target = (source.parent / link[2]).resolve()
    if target.is_relative_to(ROOT / "docs"):
        return link[0]
    if not target.exists():
        raise SystemExit(f"{source} links to {target}, which does not exist")
    if target.is_dir() or target.suffix == ".md":
        return link[1]
    copy = docs / "files" / target.relative_to(ROOT)
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(target, copy)
    up = "../" * (len(source.relative_to(ROOT / "docs").parts) - 1)
    return f"[{link[1]}]({up}{copy.relative_to(docs).as_posix()})"


def _with_nav(text: str, docs: Path) -> str:
    """Return the configuration with each folder in the navigation replaced by its pages.

    Raises `SystemExit` if the navigation names a missing page, or leaves a page out.
    """
    pages = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}

    def listed(found: re.Match[str]) -> str:
        indent, title, folder = found.groups()
        lines = [f"{indent}- {title}:"]
        for page in sorted(page for page in pages if page.startswith(f"{folder}/")):
            title_line = _TITLE.search((docs / page).read_text(encoding="utf-8"))
            name = title_line[1] if title_line else page
            lines.append(f'{indent}    - "{name}": {page}')
        return "\n".join(lines)

    text = _NAV_FOLDER.sub(listed, text)
    in_nav = set(_NAV_PAGE.findall(text))
    errors = [f"mkdocs.yml names {page}, which does not exist" for page in in_nav - pages]
    errors += [f"docs/{page} is not in the nav of mkdocs.yml" for page in pages - in_nav]
    if errors:
        raise SystemExit("\n".join(sorted(errors)))
    return text


def main(arguments: list[str]) -> int:
    """Write the sources, build the site, and return the exit code of the builder."""
    if len(arguments) != 1:
        raise SystemExit((__doc__ or "").strip())
    configuration = stage(Path(arguments[0]).resolve())
    builder = Path(sys.executable).parent / "zensical"
    command = [str(builder), "build", "--strict", "--clean", "--config-file", str(configuration)]
    return subprocess.run(command, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
