"""Generate the synchronous client and its tests from the asynchronous ones.

Without arguments, the script writes the files. With `--check` it writes nothing, and exits with 1
if a file is out of date. Lines that end with `# async only` are left out, and so are files that
begin with it. `BY_HAND` names the synchronous files that are not generated.
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "packages" / "corvo-client"
FOLDERS = {
    CLIENT / "src" / "corvo_client" / "_async": CLIENT / "src" / "corvo_client" / "_sync",
    CLIENT / "tests" / "_async": CLIENT / "tests" / "_sync",
}
BY_HAND = {CLIENT / "src" / "corvo_client" / "_sync" / "connection.py"}
ASYNC_ONLY = "# async only"
BANNER = "# Generated from {source} by scripts/gen_sync.py. Do not edit.\n"

NAMES = {
    "_async": "_sync",
    "AbstractAsyncContextManager": "AbstractContextManager",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "aclosing": "closing",
    "aiter_bytes": "iter_bytes",
    "aread": "read",
    "asynccontextmanager": "contextmanager",
    "asyncio": "time",
    "handle_async_request": "handle_request",
}
"""Names that are replaced in the code. The prefix `Async` of any other name is removed."""
PROSE = {"asyncio": "plain code", "_async": "_sync"}
"""Words that are replaced in strings and comments."""


def main() -> int:
    """Write or check all files. Return the exit code."""
    is_check = sys.argv[1:] == ["--check"]
    stale: list[Path] = []
    for source_folder, target_folder in FOLDERS.items():
        targets = {
            target_folder / source.name.replace("test_async_", "test_sync_"): source
            for source in source_folder.glob("*.py")
            if not source.read_text().startswith(ASYNC_ONLY)
        }
        wanted = {target: to_sync(source, target) for target, source in targets.items()}
        for target, text in wanted.items():
            if not target.exists() or target.read_text() != text:
                stale.append(target)
                if not is_check:
                    target.parent.mkdir(exist_ok=True)
                    target.write_text(text)
        for orphan in set(target_folder.glob("*.py")) - set(wanted) - BY_HAND:
            stale.append(orphan)
            if not is_check:
                orphan.unlink()
    for path in sorted(stale):
        print(f"{'out of date, run scripts/gen_sync.py' if is_check else 'written'}: {path}")
    return 1 if is_check and stale else 0


def to_sync(source: Path, target: Path) -> str:
    """Return the text of `target`, generated from `source` and formatted by ruff."""
    lines = source.read_text().splitlines(keepends=True)
    async_text = "".join(line for line in lines if not line.rstrip().endswith(ASYNC_ONLY))
    text = BANNER.format(source=source.relative_to(CLIENT)) + "".join(translate(async_text))
    for command in (["check", "--fix", "--exit-zero", "--quiet"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, f"--stdin-filename={target}", "-"]
        text = subprocess.run(  # noqa: S603 - only constants and our own paths
            ruff, input=text, capture_output=True, text=True, check=True
        ).stdout
    return text


def translate(text: str) -> Iterator[str]:
    """Yield the synchronous text in pieces: translated tokens, and unchanged text between them."""
    lines = text.splitlines(keepends=True)
    row, column = 1, 0
    is_dropped = False
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        between = "".join(
            line[
                column if number == row else 0 : token.start[1]
                if number == token.start[0]
                else None
            ]
            for number, line in enumerate(lines[row - 1 : token.start[0]], start=row)
        )
        # The space after a dropped word is dropped, too.
        yield between.lstrip(" ") if is_dropped else between
        is_dropped = token.type == tokenize.NAME and token.string in {"async", "await"}
        if not is_dropped:
            yield translate_token(token)
        row, column = token.end


def translate_token(token: tokenize.TokenInfo) -> str:
    """Return the text of `token` in the synchronous client."""
    if token.type == tokenize.NAME:
        return NAMES.get(token.string) or re.sub(r"^Async(?=[A-Z])", "", token.string)
    if token.type in {tokenize.STRING, tokenize.COMMENT}:
        words = re.sub(r"\bAsync(?=[A-Z])", "", token.string)
        return re.sub("|".join(PROSE), lambda match: PROSE[match[0]], words)
    return token.string


if __name__ == "__main__":
    sys.exit(main())
