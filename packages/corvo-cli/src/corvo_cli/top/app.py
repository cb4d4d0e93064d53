"""The live view: queues, workers and events, kept up to date; keys that steer queues."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Footer, RichLog, Static, TabbedContent, TabPane

from corvo_cli.top.figures import SORTS, Figures, Look
from corvo_cli.top.lines import QUEUES, WORKERS, event_line, queue_lines, summary, worker_lines
from corvo_client import AsyncClient, CorvoError

_KEPT_EVENTS = 1000


class Top(App[None]):
    """A window on a server. `interval` is in seconds; `now` tells the time for ages."""

    TITLE = "corvo top"
    CSS = """
    #summary { height: auto; padding: 0 1; }
    TabbedContent { height: 1fr; }
    DataTable, RichLog { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "Quit"),
        ("s", "sort", "Order"),
        ("p", "pause", "Pause or resume the queue"),
        ("f", "freeze", "Freeze"),
        ("1", "show('queues')", "Queues"),
        ("2", "show('workers')", "Workers"),
        ("3", "show('events')", "Events"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, client: AsyncClient, interval: float, now: Callable[[], datetime]) -> None:
        super().__init__()
        self.figures = Figures()
        self.sort = next(iter(SORTS))
        self.is_frozen = False
        self.trouble = ""
        self._client = client
        self._interval = interval
        self._now = now

    def compose(self) -> ComposeResult:
        """Lay out the window."""
        yield Static(id="summary", markup=False)
        with TabbedContent(initial="queues"):
            with TabPane("Queues", id="queues"):
                yield DataTable(id="queue-table", cursor_type="row")
            with TabPane("Workers", id="workers"):
                yield DataTable(id="worker-table", cursor_type="row")
            with TabPane("Events", id="events"):
                yield RichLog(id="event-log", max_lines=_KEPT_EVENTS, wrap=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look, and to listen."""
        self._table("queue").add_columns(*QUEUES)
        self._table("worker").add_columns(*WORKERS)
        self.set_interval(self._interval, self.look)
        self.run_worker(self.look(), exclusive=False)
        self.run_worker(self._listen(), exclusive=False)

    async def look(self) -> None:
        """Ask the server how it is, and show it; when it does not answer, show that."""
        if self.is_frozen:
            return
        try:
            self.figures.add(
                Look(
                    time.monotonic(),
                    await self._client.cluster_status(),
                    await self._client.list_queues(),
                    await self._client.list_workers(),
                )
            )
            self.trouble = ""
        except CorvoError as error:
            self.trouble = str(error)
        self.draw()

    def draw(self) -> None:
        """Show the figures as they are."""
        now = self._now()
        header = summary(self._client.base_url, self.figures, now, self._mode())
        self.query_one("#summary", Static).update(header)
        if self.figures.latest is None:
            return
        _fill(self._table("queue"), queue_lines(self.figures.flows(self.sort)))
        _fill(self._table("worker"), worker_lines(self.figures.latest.workers, now))

    def action_sort(self) -> None:
        """Order the queues by the next measure."""
        names = list(SORTS)
        self.sort = names[(names.index(self.sort) + 1) % len(names)]
        self.draw()

    def action_freeze(self) -> None:
        """Hold the picture, or let it go on."""
        self.is_frozen = not self.is_frozen
        self.draw()

    def action_show(self, pane: str) -> None:
        """Bring a pane to the front."""
        self.query_one(TabbedContent).active = pane

    async def action_pause(self) -> None:
        """Pause the queue under the cursor, or resume it."""
        name = _key_under_cursor(self._table("queue"))
        flows = {flow.queue.name: flow.queue for flow in self.figures.flows(self.sort)}
        if name not in flows:
            return
        try:
            if flows[name].paused:
                await self._client.resume_queue(name)
            else:
                await self._client.pause_queue(name)
        except CorvoError as error:
            self.notify(str(error), severity="error", markup=False)
        await self.look()

    async def _listen(self) -> None:
        log = self.query_one("#event-log", RichLog)
        try:
            async for event in self._client.follow_events():
                if not self.is_frozen:
                    log.write(event_line(event))
        except CorvoError as error:
            log.write(Text(f"No events: {error}"))

    def _mode(self) -> str:
        words = [f"by {self.sort}"]
        if self.is_frozen:
            words.append("FROZEN")
        if self.trouble:
            words.append(f"NO ANSWER: {self.trouble}")
        return ", ".join(words)

    def _table(self, name: str) -> "DataTable[Text]":
        return self.query_one(f"#{name}-table", DataTable)


def _fill(table: "DataTable[Text]", lines: Sequence[tuple[str, Sequence[Text]]]) -> None:
    """Show these rows. The cursor stays on the row that it is on, wherever that has gone."""
    wanted = [key for key, _ in lines]
    if [row.key.value for row in table.ordered_rows] == wanted:
        columns = list(table.columns)
        for key, cells in lines:
            for column, cell in zip(columns, cells, strict=True):
                table.update_cell(key, column, cell)
        return
    under_cursor = _key_under_cursor(table)
    table.clear()
    for key, cells in lines:
        table.add_row(*cells, key=key)
    if under_cursor in wanted:
        table.move_cursor(row=wanted.index(under_cursor))


def _key_under_cursor(table: "DataTable[Text]") -> str:
    rows = table.ordered_rows
    row = table.cursor_row
    return str(rows[row].key.value) if 0 <= row < len(rows) else ""
