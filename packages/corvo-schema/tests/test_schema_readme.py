"""The example in the README runs."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_example_runs() -> None:
    [code] = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    exec(compile(code, str(README), "exec"), {})  # noqa: S102 - our own text
