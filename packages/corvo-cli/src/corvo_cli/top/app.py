"""The live view: tables of queues and workers, the event log, and keys to pause queues."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Footer, RichLog, Static, TabbedContent, TabPane

from corvo_cli.top.rows import QUEUES, WORKERS, Row, event_line, queue_rows, summary, worker_rows
from corvo_cli.top.snapshots import SORTS, Snapshot, Snapshots
from corvo_client import AsyncClient, CorvoError

_MAX_EVENTS = 1000


class Top(App[None]):
    """Show the state of a server, polled every `interval` seconds. `now` is the clock for ages."""

    TITLE = "corvo top"
    CSS = """
    #summary { height: auto; padding: 0 1; }
    TabbedContent { height: 1fr; }
    DataTable, RichLog { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "Quit"),
        ("s", "sort", "Sort"),
        ("p", "pause", "Pause or resume the queue"),
        ("f", "freeze", "Freeze"),
        ("1", "show('queues')", "Queues"),
        ("2", "show('workers')", "Workers"),
        ("3", "show('events')", "Events"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, client: AsyncClient, interval: float, now: Callable[[], datetime]) -> None:
        super().__init__()
        self.snapshots = Snapshots()
        self.sort = next(iter(SORTS))
        self.is_frozen = False
        self.last_error = ""
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
                yield RichLog(id="event-log", max_lines=_MAX_EVENTS, wrap=False)
        yield Footer()

    def on_mount(self) -> None:
        """Start polling the server and following its events."""
        self._table("queue").add_columns(*QUEUES)
        self._table("worker").add_columns(*WORKERS)
        self.set_interval(self._interval, self.poll)
        self.run_worker(self.poll(), exclusive=False)
        self.run_worker(self._follow_events(), exclusive=False)

    async def poll(self) -> None:
        """Poll the server and draw the result. Show the error if a request fails."""
        if self.is_frozen:
            return
        try:
            self.snapshots.add(
                Snapshot(
                    time.monotonic(),
                    await self._client.cluster_status(),
                    await self._client.list_queues(),
                    await self._client.list_workers(),
                )
            )
            self.last_error = ""
        except CorvoError as error:
            self.last_error = str(error)
        self.draw()

    def draw(self) -> None:
        """Draw the summary and the tables from the latest snapshot."""
        now = self._now()
        header = summary(self._client.base_url, self.snapshots, now, self._mode_text())
        self.query_one("#summary", Static).update(header)
        if self.snapshots.latest is None:
            return
        _fill(self._table("queue"), queue_rows(self.snapshots.rates(self.sort)))
        _fill(self._table("worker"), worker_rows(self.snapshots.latest.workers, now))

    def action_sort(self) -> None:
        """Sort the queues by the next sort order."""
        names = list(SORTS)
        self.sort = names[(names.index(self.sort) + 1) % len(names)]
        self.draw()

    def action_freeze(self) -> None:
        """Stop updating the view, or update it again."""
        self.is_frozen = not self.is_frozen
        self.draw()

    def action_show(self, pane: str) -> None:
        """Show a pane."""
        self.query_one(TabbedContent).active = pane

    async def action_pause(self) -> None:
        """Pause the queue under the cursor, or resume it if it is paused."""
        name = _key_under_cursor(self._table("queue"))
        queues = {rates.queue.name: rates.queue for rates in self.snapshots.rates(self.sort)}
        if name not in queues:
            return
        try:
            if queues[name].paused:
                await self._client.resume_queue(name)
            else:
                await self._client.pause_queue(name)
        except CorvoError as error:
            self.notify(str(error), severity="error", markup=False)
        await self.poll()

    async def _follow_events(self) -> None:
        log = self.query_one("#event-log", RichLog)
        try:
            async for event in self._client.follow_events():
                if not self.is_frozen:
                    log.write(event_line(event))
        except CorvoError as error:
            log.write(Text(f"Stopped following events: {error}"))

    def _mode_text(self) -> str:
        words = [f"by {self.sort}"]
        if self.is_frozen:
            words.append("FROZEN")
        if self.last_error:
            words.append(f"NO ANSWER: {self.last_error}")
        return ", ".join(words)

    def _table(self, name: str) -> "DataTable[Text]":
        return self.query_one(f"#{name}-table", DataTable)


def _fill(table: "DataTable[Text]", rows: Sequence[Row]) -> None:
    """Replace the rows of a table. The cursor follows the row with the same key."""
    keys = [key for key, _ in rows]
    if [row.key.value for row in table.ordered_rows] == keys:
        columns = list(table.columns)
        for key, cells in rows:
            for column, cell in zip(columns, cells, strict=True):
                table.update_cell(key, column, cell)
        return
    under_cursor = _key_under_cursor(table)
    table.clear()
    for key, cells in rows:
        table.add_row(*cells, key=key)
    if under_cursor in keys:
        table.move_cursor(row=keys.index(under_cursor))


def _key_under_cursor(table: "DataTable[Text]") -> str:
    rows = table.ordered_rows
    row = table.cursor_row
    return str(rows[row].key.value) if 0 <= row < len(rows) else ""
