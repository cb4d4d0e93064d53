"""The workflows of `.github` are valid, use pinned actions and have minimal permissions.

The tests make no requests to GitHub, so they cannot check that a pinned commit matches the version
in its comment. Dependabot updates both together.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GITHUB = Path(__file__).parents[2] / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))


def run(*command: str | Path) -> None:
    """Run a checker. Fail with its output if it reports a problem."""
    done = subprocess.run(
        command, cwd=GITHUB.parent, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def tool(name: str) -> Path:
    """Return the path of a program in this environment."""
    return Path(sys.executable).parent / name


@pytest.mark.parametrize(
    ("schema", "files"),
    [("github-workflows", WORKFLOWS), ("dependabot", [GITHUB / "dependabot.yml"])],
    ids=["workflows", "dependabot"],
)
def test_files_match_their_schema(schema: str, files: list[Path]) -> None:
    run(tool("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *files)


def test_zizmor_finds_no_problem() -> None:
    run(tool("zizmor"), "--offline", "--no-progress", "--persona", "regular", GITHUB)


def test_actionlint_finds_no_problem() -> None:
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip(
            "actionlint is not installed; install it with "
            "`go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12`"
        )
    run(actionlint, *WORKFLOWS)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit_with_its_version(workflow: Path) -> None:
    uses = re.findall(r"^ +(?:- )?uses: (.*)$", workflow.read_text("utf-8"), re.MULTILINE)
    assert uses
    for used in uses:
        if not used.startswith("./"):
            assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_have_no_permissions_outside_of_jobs(workflow: Path) -> None:
    lines = workflow.read_text("utf-8").splitlines()
    assert "permissions: {}" in lines
    assert not any("secrets." in line for line in lines)


def test_the_same_commit_is_pinned_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for workflow in WORKFLOWS:
        for action, commit in re.findall(
            r"uses: ([^@\s]+)@(\S+ # \S+)", workflow.read_text("utf-8")
        ):
            pins.setdefault(action, set()).add(commit)
    assert {action: commits for action, commits in pins.items() if len(commits) > 1} == {}
