"""The figures of the fault tests, such as images opened and acknowledged calls checked."""

import json
import os
from pathlib import Path


def note_figures(test: str, **figures: int) -> None:
    """Append a JSON line with the figures of a test to the file that CORVO_FAULT_FIGURES names.

    Do nothing without that variable. Several processes may append at once.
    """
    path = os.environ.get("CORVO_FAULT_FIGURES")
    if path:
        line = json.dumps({"test": test, **figures}) + "\n"
        with Path(path).open("a", encoding="utf-8") as file:  # one write, in append mode
            file.write(line)
