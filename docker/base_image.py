"""Print the base image that docker/base/Dockerfile names.

    python docker/base_image.py            print it
    python docker/base_image.py --check    print it; fail unless it has a digest
    python docker/base_image.py --pin      ask the registry for the digest of its tag, and write it
                                           (needs docker with buildx)

A tag can be moved to another image; a digest cannot. Dependabot writes new digests.
"""

import re
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).with_name("base") / "Dockerfile"

_FROM = re.compile(r"^FROM (\S+)$", re.MULTILINE)
_IMAGE = re.compile(r"(?P<name>[a-z0-9./_-]+:[\w.-]+)(?:@(?P<digest>sha256:[0-9a-f]{64}))?")


class BaseImageError(Exception):
    """Raised when the file does not name one image as it must. The message says what to do."""


def read(text: str) -> tuple[str, str | None]:
    """Return the name with its tag, and the digest or None. Raises `BaseImageError`."""
    found = _FROM.findall(text)
    image = _IMAGE.fullmatch(found[0]) if len(found) == 1 else None
    if image is None:
        raise BaseImageError(f"{FILE.name} must have one line FROM name:tag@sha256:digest")
    return image["name"], image["digest"]


def digest_of(name: str) -> str:
    """Return the digest that the registry has for a tag now, of all platforms together."""
    command = ("docker", "buildx", "imagetools", "inspect", name, "--format")
    return subprocess.run(  # noqa: S603 - the name is that of our own file
        [*command, "{{.Manifest.Digest}}"], capture_output=True, text=True, check=True
    ).stdout.strip()


def main(arguments: list[str]) -> int:
    """Print, check or pin the image; return the exit code."""
    if arguments not in ([], ["--check"], ["--pin"]):
        print(__doc__, file=sys.stderr)
        return 2
    text = FILE.read_text(encoding="utf-8")
    try:
        name, digest = read(text)
        if arguments == ["--pin"]:
            pinned = _FROM.sub(f"FROM {name}@{digest_of(name)}", text)
            name, digest = read(pinned)
            FILE.write_text(pinned, encoding="utf-8")
    except subprocess.CalledProcessError as error:
        print(f"the registry was not asked: {error.stderr.strip()}", file=sys.stderr)
        return 1
    except BaseImageError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments and digest is None:
        how = "run python docker/base_image.py --pin, and commit docker/base/Dockerfile"
        print(f"{name} has no digest: {how}", file=sys.stderr)
        return 1
    print(name if digest is None else f"{name}@{digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
