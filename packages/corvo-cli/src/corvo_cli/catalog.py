"""The table of commands: under which title, what they are for, and where they are.

It is all that `corvo --help` needs. A command's module is loaded when the command is used.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    """One command: the sentence of the overview, and its place, `module:attribute`."""

    summary: str
    home: str


_JOB = "corvo_cli.commands.job_actions"
_QUEUE = "corvo_cli.commands.queue_actions"

CATALOG: dict[str, dict[str, Entry]] = {
    "Jobs": {
        "enqueue": Entry("Enqueue a job.", "corvo_cli.commands.enqueue:enqueue"),
        "inspect": Entry("Show everything about a job.", "corvo_cli.commands.inspect:inspect"),
        "search": Entry("Find jobs by what is known of them.", "corvo_cli.commands.search:search"),
        "retry": Entry("Run an ended job again, or a waiting one now.", f"{_JOB}:retry"),
        "requeue": Entry("Give a dead job one more attempt.", f"{_JOB}:requeue"),
        "cancel": Entry("Cancel a job.", f"{_JOB}:cancel"),
        "move": Entry("Put a job into another queue.", f"{_JOB}:move"),
        "priority": Entry("Let a waiting job be served earlier or later.", f"{_JOB}:priority"),
        "delete": Entry("Remove a job for good.", f"{_JOB}:delete"),
        "bulk": Entry("Do one thing to many jobs.", "corvo_cli.commands.bulk:bulk"),
        "batch": Entry("Show how far a batch is.", "corvo_cli.commands.batch:batch"),
        "batches": Entry("List the batches, the newest first.", "corvo_cli.commands.batch:batches"),
    },
    "Queues": {
        "queues": Entry("List the queues, or show one.", "corvo_cli.commands.queues:queues"),
        "pause": Entry("Hold a queue's jobs back.", f"{_QUEUE}:pause"),
        "resume": Entry("Hand a queue's jobs out again.", f"{_QUEUE}:resume"),
        "drain": Entry("Hold jobs back and let the active ones end.", f"{_QUEUE}:drain"),
        "clear": Entry("Remove a queue's waiting jobs.", f"{_QUEUE}:clear"),
        "destroy": Entry("Remove a queue with all its jobs.", f"{_QUEUE}:destroy"),
        "concurrency": Entry("Limit how many jobs are active at once.", f"{_QUEUE}:concurrency"),
        "throttle": Entry("Limit how many jobs start in a time.", f"{_QUEUE}:throttle"),
    },
    "Schedules": {
        "schedules": Entry(
            "Enqueue jobs by the calendar.", "corvo_cli.commands.schedules:schedules"
        ),
    },
    "Watching": {
        "status": Entry(
            "Show the server and its queues in short.", "corvo_cli.commands.status:status"
        ),
        "top": Entry("Watch a server live.", "corvo_cli.commands.top:top"),
        "events": Entry("Follow what happens to jobs.", "corvo_cli.commands.events:events"),
        "cluster": Entry("List the servers of one database.", "corvo_cli.commands.cluster:cluster"),
        "workers": Entry("List the workers.", "corvo_cli.commands.workers:workers"),
        "info": Entry("Show the server's version.", "corvo_cli.commands.info:info"),
    },
    "Running": {
        "server": Entry("Run a server.", "corvo_cli.commands.server:server"),
        "worker": Entry("Run a worker of your own code.", "corvo_cli.commands.worker:worker"),
    },
    "This program": {
        "completion": Entry(
            "Print the completion of a shell.", "corvo_cli.commands.completion:completion"
        ),
    },
}

COMMANDS: dict[str, Entry] = {
    name: entry for section in CATALOG.values() for name, entry in section.items()
}
