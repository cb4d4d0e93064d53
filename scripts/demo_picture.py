"""Run examples/demo.py and write its output to docs/first-job.svg, a picture for the README."""

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
COMMAND = "python3 -m nox -s demo"


def main() -> None:
    """Run the demo and write the picture."""
    done = subprocess.run(  # noqa: S603 - our own file
        [sys.executable, str(ROOT / "examples" / "demo.py")],
        capture_output=True,
        text=True,
        check=True,
    )
    console = Console(record=True, width=104, file=io.StringIO())
    console.print(Text(f"$ {COMMAND}\n", style="bold"))
    for line in done.stdout.splitlines():
        text = Text(line)
        text.highlight_words(["completed"], style="bold green")
        text.highlight_words(["failed", "retrying"], style="bold yellow")
        console.print(text)
    picture = console.export_svg(title="Corvo")
    # Remove the web fonts that rich refers to, because the picture must not load anything.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = picture.replace("Fira Code, monospace", "monospace")
    (ROOT / "docs" / "first-job.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
