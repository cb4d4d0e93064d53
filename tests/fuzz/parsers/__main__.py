"""Runs one target under the coverage-guided fuzzer, on top of its seeds and of earlier finds."""

import argparse
import sys
from pathlib import Path

import atheris

_INSTRUMENTED = ["corvo_schema", "corvo_server", "cronsim", "fuzz", "lark"]
_SLOW = 5
"""Seconds after which an input counts as a hang. None of the parsers may take so long."""
_MAX_BYTES = 4096


def main() -> None:
    """Fuzz for the given time. A violation ends the process with an error and its input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, required=True)
    given = parser.parse_args()
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from fuzz.parsers.targets import TARGETS
    target = TARGETS[given.target]
    folder: Path = given.corpus / given.target
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={given.seconds}",
        f"-timeout={_SLOW}",
        f"-max_len={_MAX_BYTES}",
        f"-artifact_prefix={given.corpus}/{given.target}-",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], str(folder), *options], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
