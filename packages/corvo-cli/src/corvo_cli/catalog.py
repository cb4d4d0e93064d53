"""The table of all commands: section, summary, and the module that defines the command.

`corvo --help` needs nothing else. The module of a command is imported when the command runs.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    """A command: its summary in `corvo --help`, and its location as `module:attribute`."""

    summary: str
    location: str


_JOB = "corvo_cli.commands.job_actions"
_QUEUE = "corvo_cli.commands.queue_actions"

CATALOG: dict[str, dict[str, Entry]] = {
    "Jobs": {
        "enqueue": Entry("Enqueue a job.", "corvo_cli.commands.enqueue:enqueue"),
        "inspect": Entry("Show all details of a job.", "corvo_cli.commands.inspect:inspect"),
        "search": Entry("Search for jobs with filters.", "corvo_cli.commands.search:search"),
        "retry": Entry("Retry an ended job, or run a waiting job now.", f"{_JOB}:retry"),
        "requeue": Entry("Give a dead job one more attempt.", f"{_JOB}:requeue"),
        "cancel": Entry("Cancel a job.", f"{_JOB}:cancel"),
        "move": Entry("Move a job to another queue.", f"{_JOB}:move"),
        "priority": Entry("Change the priority of a waiting job.", f"{_JOB}:priority"),
        "delete": Entry("Delete a job permanently.", f"{_JOB}:delete"),
        "bulk": Entry("Apply one action to many jobs.", "corvo_cli.commands.bulk:bulk"),
        "batch": Entry("Show the progress of a batch.", "corvo_cli.commands.batch:batch"),
        "batches": Entry("List the batches, newest first.", "corvo_cli.commands.batch:batches"),
    },
    "Queues": {
        "queues": Entry("List the queues, or show one queue.", "corvo_cli.commands.queues:queues"),
        "pause": Entry("Pause a queue.", f"{_QUEUE}:pause"),
        "resume": Entry("Resume a paused or drained queue.", f"{_QUEUE}:resume"),
        "drain": Entry("Pause a queue and let its active jobs end.", f"{_QUEUE}:drain"),
        "clear": Entry("Delete the pending and scheduled jobs of a queue.", f"{_QUEUE}:clear"),
        "destroy": Entry("Delete a queue with all its jobs.", f"{_QUEUE}:destroy"),
        "concurrency": Entry(
            "Limit the number of active jobs of a queue.", f"{_QUEUE}:concurrency"
        ),
        "defaults": Entry(
            "Set options for the jobs of a queue that leave them out.", f"{_QUEUE}:defaults"
        ),
        "throttle": Entry("Limit the rate at which jobs of a queue start.", f"{_QUEUE}:throttle"),
    },
    "Schedules": {
        "schedules": Entry(
            "Manage schedules that enqueue jobs.", "corvo_cli.commands.schedules:schedules"
        ),
    },
    "Monitoring": {
        "status": Entry(
            "Show a summary of the server and its queues.", "corvo_cli.commands.status:status"
        ),
        "top": Entry("Show a live view of a server.", "corvo_cli.commands.top:top"),
        "events": Entry("Follow the events of jobs.", "corvo_cli.commands.events:events"),
        "cluster": Entry("List the nodes of the cluster.", "corvo_cli.commands.cluster:cluster"),
        "workers": Entry("List the workers.", "corvo_cli.commands.workers:workers"),
        "info": Entry("Show the server's version.", "corvo_cli.commands.info:info"),
    },
    "Access": {
        "keys": Entry("Manage API keys.", "corvo_cli.commands.keys:keys"),
        "audit": Entry(
            "List who changed or configured what, newest first.", "corvo_cli.commands.audit:audit"
        ),
        "webhooks": Entry(
            "Manage webhooks, which send events to URLs.", "corvo_cli.commands.webhooks:webhooks"
        ),
    },
    "Servers and workers": {
        "server": Entry("Run a server.", "corvo_cli.commands.server:server"),
        "worker": Entry("Run a worker with your own code.", "corvo_cli.commands.worker:worker"),
    },
    "Encryption": {
        "codec": Entry("Make keys for encrypted jobs.", "corvo_cli.commands.codec:codec"),
    },
    "Shell": {
        "completion": Entry(
            "Print the completion script for a shell.", "corvo_cli.commands.completion:completion"
        ),
    },
}

HINTS = {
    "list": "search",
    "ls": "search",
    "jobs": "search",
    "find": "search",
    "failed": "search --state failed",
    "show": "inspect JOB_ID",
    "get": "inspect JOB_ID",
    "job": "inspect JOB_ID",
    "add": "enqueue",
    "push": "enqueue",
    "send": "enqueue",
    "call": "enqueue",
    "rerun": "retry JOB_ID",
    "kill": "cancel JOB_ID",
    "revoke": "cancel JOB_ID",
    "abort": "cancel JOB_ID",
    "rm": "delete JOB_ID",
    "purge": "clear QUEUE",
    "empty": "clear QUEUE",
    "flush": "clear QUEUE",
    "unpause": "resume QUEUE",
    "ps": "workers",
    "stats": "status",
    "monitor": "top",
    "dashboard": "top",
    "beat": "schedules",
    "cron": "schedules",
    "logs": "events",
    "serve": "server",
    "start": "server",
    "run": "worker MODULE",
    "version": "info",
}
"""Commands of other tools, and what does the same here."""

COMMANDS: dict[str, Entry] = {
    name: entry for section in CATALOG.values() for name, entry in section.items()
}
