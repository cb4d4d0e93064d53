"""The rows that the verbs of a commit will read, as far as the requests name them.

A database across a network loads all of them in one round trip, and locks them in one order.
"""


class Prefetch:
    """Collects the rows to prefetch from all requests of one commit, before the first verb runs."""

    def __init__(self) -> None:
        self.jobs = 0
        """Largest possible number of new jobs."""
        self.enqueued: set[str] = set()
        """Queues of new jobs, whose defaults are read."""
        self.known: set[str] = set()
        """Ids of new jobs that the store may have already."""
        self.keys: set[tuple[str, str]] = set()
        """Queue and unique key of new jobs."""
        self.ids: set[str] = set()
        """Ids of the jobs to move."""
        self.queues: set[str] = set()
        """Names of the queues to fetch from."""
