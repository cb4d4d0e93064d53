"""The live view: tables of queues, workers and jobs, the event log, and keys to pause queues."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Footer, RichLog, Static, TabbedContent, TabPane

from corvo_cli.human import printable
from corvo_cli.top.question import Question
from corvo_cli.top.rows import (
    JOBS,
    QUEUES,
    WORKERS,
    Row,
    event_line,
    job_rows,
    queue_rows,
    summary,
    worker_rows,
)
from corvo_cli.top.snapshots import SORTS, Snapshot, Snapshots
from corvo_client import AsyncClient, CorvoError

_MAX_EVENTS = 1000
_JOBS = 25
"""Number of newest jobs, and of failed jobs, of the pane."""


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
        ("4", "show('jobs')", "Jobs of the queue"),
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
            with TabPane("Jobs", id="jobs"):
                yield Static(id="job-title", markup=False)
                yield DataTable(id="job-table", cursor_type="row")
        yield Footer()

    def on_mount(self) -> None:
        """Start polling the server and following its events."""
        self._table("queue").add_columns(*QUEUES)
        self._table("worker").add_columns(*WORKERS)
        self._table("job").add_columns(*JOBS)
        self._table("queue").focus()
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
            if self.query_one(TabbedContent).active == "jobs":
                await self._read_jobs()
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

    async def action_show(self, pane: str) -> None:
        """Show a pane."""
        self.query_one(TabbedContent).active = pane
        if pane == "jobs":
            await self.poll()

    async def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Show the jobs of the queue on which Enter was pressed."""
        if event.data_table.id == "queue-table":
            await self.action_show("jobs")

    async def _read_jobs(self) -> None:
        """Read and draw the newest jobs of the queue under the cursor, those that failed first."""
        name = _key_under_cursor(self._table("queue"))
        self.query_one("#job-title", Static).update(f"{printable(name)}: newest jobs, failed first")
        failed = await self._client.search(
            queue=name, has_errors=True, sort="failed_at", limit=_JOBS
        )
        newest = await self._client.search(queue=name, limit=_JOBS)
        jobs = {job.id: job for job in (*failed.jobs, *newest.jobs)}
        _fill(self._table("job"), job_rows(list(jobs.values()), self._now()))

    def action_pause(self) -> None:
        """Ask, then pause the queue under the cursor, or resume it if it is paused."""
        name = _key_under_cursor(self._table("queue"))
        queues = {rates.queue.name: rates.queue for rates in self.snapshots.rates(self.sort)}
        if name not in queues:
            return
        is_paused = queues[name].paused

        async def act(is_confirmed: bool | None) -> None:
            if is_confirmed:
                await self._pause(name, is_paused=is_paused)

        question = f"{'Resume' if is_paused else 'Pause'} {printable(name)}?"
        self.push_screen(Question(question), act)

    async def _pause(self, name: str, *, is_paused: bool) -> None:
        try:
            if is_paused:
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
