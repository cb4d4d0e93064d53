"""How many slots will have come free by the time a fetch is answered."""


class Pace:
    """Looks at the last fetches to tell what the next one may ask for beyond the free slots.

    Where jobs are short a worker would be idle while it waits for the next ones. Where they are
    long the answer is zero, so that no job is held here that another worker could run.
    """

    def __init__(self) -> None:
        self._last = (0.0, 0)
        self._last_but_one = (0.0, 0)
        self._latency = 0.0
        self._is_behind = False

    def begin(self, now: float, finished: int) -> None:
        """Note that a fetch is sent; `finished` is how many jobs have ended in all."""
        self._last_but_one, self._last = self._last, (now, finished)

    def end(self, now: float, *, is_full: bool) -> None:
        """Note that it was answered, and whether with as many jobs as it had asked for.

        Only then there are likely to be more, and only then was the answer not waited for.
        """
        self._latency = now - self._last[0]
        self._is_behind = is_full

    def expected(self, now: float, finished: int) -> int:
        """How many jobs end while a fetch is out, at the rate since the last fetch but one."""
        since, already = self._last_but_one
        if not self._is_behind or now <= since:
            return 0
        return int((finished - already) / (now - since) * self._latency)
