"""What the verbs of a commit will ask their tables for, as far as that is known beforehand.

An engine beyond a network asks for all of it in one round trip, and locks it in one order.
"""


class Prefetch:
    """Gathered from all requests of one commit before the first of them is dealt with."""

    def __init__(self) -> None:
        self.jobs = 0
        """How many jobs will be new, at most."""
        self.known: set[str] = set()
        """Ids of new jobs that may be there already."""
        self.keys: set[tuple[str, str]] = set()
        """Queue and unique key of new jobs."""
        self.ids: set[str] = set()
        """Jobs that will be moved."""
        self.queues: set[str] = set()
        """Queues whose jobs will be handed out."""
