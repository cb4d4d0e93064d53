"""`scripts/bump.py` on a copy of the tree."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

GIT = ("git", "-c", "user.name=Tests", "-c", "user.email=tests@example.com")

CHART = "deploy/helm/corvo/Chart.yaml"


class Done(NamedTuple):
    """The result of a run."""

    code: int
    out: str
    err: str


class Tree:
    """A committed copy of the files that a release needs."""

    def __init__(self, root: Path, copy: Path) -> None:
        self.path = copy
        wanted = [*root.glob("packages/*/pyproject.toml"), *root.glob("packages/*/CHANGELOG.md")]
        wanted += [*root.glob("packages/*/src/*/__about__.py"), root / "scripts/bump.py"]
        wanted += [root / CHART]
        for source in wanted:
            target = copy / source.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        for name in ("corvo-schema", "corvo-server", "corvo-client", "corvo-cli"):
            self.write(self.changelog(name), "# Changelog\n\n## Unreleased\n\n- All of it.\n")
        self.git("init", "--quiet")
        self.commit()

    def git(self, *arguments: str) -> None:
        subprocess.run([*GIT, "-C", str(self.path), *arguments], check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "as it is")

    def changelog(self, package: str) -> str:
        return f"packages/{package}/CHANGELOG.md"

    def about(self, package: str) -> str:
        return f"packages/{package}/src/{package.replace('-', '_')}/__about__.py"

    def read(self, path: str) -> str:
        return (self.path / path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        (self.path / path).write_text(text, encoding="utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        assert old in self.read(path)
        self.write(path, self.read(path).replace(old, new))
        self.commit()

    def bump(self, package: str, part: str, day: str = "2026-12-01") -> Done:
        command = [sys.executable, "scripts/bump.py", package, part, "--date", day]
        done = subprocess.run(
            command, cwd=self.path, capture_output=True, text=True, check=False, timeout=60
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def changed(self) -> set[str]:
        command = ["git", "-C", str(self.path), "diff", "--name-only"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return set(done.stdout.split())

    def release(self, package: str, part: str, note: str = "- Something.") -> str:
        """Write a note, bump the version and commit. Return the tag."""
        text = self.read(self.changelog(package))
        self.write(
            self.changelog(package),
            text.replace("## Unreleased\n", f"## Unreleased\n\n{note}\n", 1),
        )
        self.commit()
        done = self.bump(package, part)
        assert done.code == 0, done.err
        self.commit()
        return done.out.strip()


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Tree:
    return Tree(root, tmp_path / "tree")


def test_the_first_release_keeps_the_version_and_dates_the_changelog(tree: Tree) -> None:
    version = tree.read(tree.about("corvo-server"))
    done = tree.bump("corvo-server", "first", day="2026-12-24")
    assert done.code == 0, done.err
    assert done.out == "corvo-server-v1.0.0\n"
    assert tree.read(tree.about("corvo-server")) == version
    expected = "# Changelog\n\n## Unreleased\n\n## 1.0.0 - 2026-12-24\n\n- All of it.\n"
    assert tree.read(tree.changelog("corvo-server")) == expected
    assert tree.changed() == {tree.changelog("corvo-server")}


@pytest.mark.parametrize(
    ("part", "tag"),
    [
        ("patch", "corvo-schema-v1.0.1"),
        ("minor", "corvo-schema-v1.1.0"),
        ("major", "corvo-schema-v2.0.0"),
    ],
)
def test_each_part_is_incremented_and_resets_the_lower_parts(
    tree: Tree, part: str, tag: str
) -> None:
    tree.release("corvo-schema", "first")
    assert tree.release("corvo-schema", part) == tag
    assert f'__version__ = "{tag.rpartition("v")[2]}"\n' in tree.read(tree.about("corvo-schema"))
    headings = [
        line for line in tree.read(tree.changelog("corvo-schema")).splitlines() if "##" in line
    ]
    assert headings == [
        "## Unreleased",
        f"## {tag.rpartition('v')[2]} - 2026-12-01",
        "## 1.0.0 - 2026-12-01",
    ]


def test_the_newest_notes_are_under_the_newest_version(tree: Tree) -> None:
    tree.release("corvo-cli", "first")
    tree.release("corvo-cli", "minor", note="- A new command.")
    text = tree.read(tree.changelog("corvo-cli"))
    assert "## 1.1.0 - 2026-12-01\n\n- A new command.\n\n## 1.0.0" in text


@pytest.mark.parametrize(
    ("part", "wanted"), [("minor", "corvo-schema>=1.1,<2"), ("major", "corvo-schema>=2.0,<3")]
)
def test_dependents_require_the_new_version(tree: Tree, part: str, wanted: str) -> None:
    tree.release("corvo-schema", "first")
    tree.release("corvo-schema", part)
    for name in ("corvo-server", "corvo-client", "corvo-cli"):
        assert f'"{wanted}"' in tree.read(f"packages/{name}/pyproject.toml")


def test_ranges_in_extras_are_raised_too(tree: Tree) -> None:
    tree.release("corvo-server", "first")
    tree.release("corvo-server", "minor")
    client = tree.read("packages/corvo-client/pyproject.toml")
    assert 'testing = ["corvo-server>=1.1,<2", ' in client


def test_the_chart_follows_the_version_of_the_server(tree: Tree) -> None:
    tree.release("corvo-server", "first")
    tree.release("corvo-client", "first")
    assert '\nversion: "1.0.0"\nappVersion: "1.0.0"\n' in tree.read(CHART)
    tree.release("corvo-server", "minor")
    assert '\nversion: "1.1.0"\nappVersion: "1.1.0"\n' in tree.read(CHART)
    tree.release("corvo-client", "minor")
    assert '\nversion: "1.1.0"\nappVersion: "1.1.0"\n' in tree.read(CHART)


def test_a_patch_does_not_change_dependents(tree: Tree) -> None:
    tree.release("corvo-schema", "first")
    before = tree.read("packages/corvo-client/pyproject.toml")
    tree.release("corvo-schema", "patch")
    assert tree.read("packages/corvo-client/pyproject.toml") == before


def refused(tree: Tree, package: str = "corvo-client", part: str = "first") -> str:
    """Run a bump that must fail and change nothing. Return its error."""
    before = {path: path.read_bytes() for path in tree.path.glob("packages/**/*.*")}
    done = tree.bump(package, part)
    assert (done.code, done.out) == (1, "")
    assert {path: path.read_bytes() for path in tree.path.glob("packages/**/*.*")} == before
    assert done.err.endswith("Nothing was written.\n")
    return done.err


def test_uncommitted_changes_are_refused(tree: Tree) -> None:
    tree.write("packages/corvo-schema/new.txt", "not committed")
    assert "uncommitted changes:\n?? packages/corvo-schema/new.txt" in refused(tree)


def test_a_released_package_has_no_first_release(tree: Tree) -> None:
    tree.release("corvo-client", "first")
    assert "use patch, minor or major" in refused(tree)


def test_an_unreleased_package_needs_a_first_release(tree: Tree) -> None:
    assert "corvo-client 1.0.0 was never released: use first" in refused(tree, part="minor")


def test_a_version_that_is_not_in_the_changelog_is_refused(tree: Tree) -> None:
    tree.release("corvo-client", "first")
    tree.replace(tree.about("corvo-client"), '"1.0.0"', '"1.3.0"')
    assert "corvo-client is at 1.3.0, but the latest release in its changelog is 1.0.0" in refused(
        tree, part="minor"
    )


def test_an_inconsistent_other_package_is_refused(tree: Tree) -> None:
    tree.replace(
        "packages/corvo-cli/pyproject.toml", "corvo-client>=1.0,<2", "corvo-client>=1.4,<2"
    )
    assert "corvo-cli requires 'corvo-client>=1.4,<2', but corvo-client is at 1.0.0" in refused(
        tree
    )


def test_a_range_without_an_upper_bound_is_refused(tree: Tree) -> None:
    tree.replace("packages/corvo-cli/pyproject.toml", "corvo-client>=1.0,<2", "corvo-client>=1.0")
    assert "expected a range like >=1.2,<2" in refused(tree)


def test_a_release_without_notes_is_refused(tree: Tree) -> None:
    tree.replace(tree.changelog("corvo-client"), "- All of it.\n", "")
    assert "nothing under Unreleased" in refused(tree)


def test_an_invalid_version_is_refused(tree: Tree) -> None:
    tree.replace(tree.about("corvo-client"), '"1.0.0"', '"1.0.0rc1"')
    assert "'1.0.0rc1' is not a version like 1.2.3" in refused(tree)


def test_an_existing_tag_is_refused(tree: Tree) -> None:
    tree.git("tag", "corvo-client-v1.0.0")
    assert "The tag corvo-client-v1.0.0 exists already" in refused(tree)


def test_every_package_can_be_released(root: Path, tmp_path: Path) -> None:
    tree = Tree(root, tmp_path / "tree")
    for source in root.glob("packages/*/CHANGELOG.md"):
        shutil.copy(source, tree.path / source.relative_to(root))
    tree.git("add", "--all")
    tree.git("commit", "--quiet", "--allow-empty", "--message", "with its own changelogs")
    for name in ("corvo-schema", "corvo-server", "corvo-client", "corvo-cli"):
        is_first = "\n## 1" not in tree.read(tree.changelog(name))
        if "## Unreleased\n\n## " in tree.read(tree.changelog(name)):
            continue  # no changes since its release
        done = tree.bump(name, "first" if is_first else "minor")
        assert done.code == 0, done.err
        tree.git("checkout", "--", ".")
