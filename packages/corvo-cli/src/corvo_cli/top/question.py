"""A question over the live view, answered by a key."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import ModalScreen
from textual.widgets import Static


class Question(ModalScreen[bool]):
    """Ask a question. The result is True for `y`, False for `n` and Escape."""

    CSS = """
    Question { align: center middle; }
    Question Static { width: auto; max-width: 80%; padding: 1 2; border: round $accent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "dismiss(True)", "Yes"),
        ("n,escape", "dismiss(False)", "No"),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def compose(self) -> ComposeResult:
        """Show the question and its keys."""
        yield Static(f"{self.text}\n\ny: yes   n: no", markup=False)
