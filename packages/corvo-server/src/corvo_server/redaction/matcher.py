"""Finds the values at the paths of rules, step by step from the root of a payload."""

from collections.abc import Sequence

from corvo_server.redaction.rules import Rule


class Matcher:
    """The rules of one queue.

    A state says which steps of which paths have matched on the way from the root to a value. It is
    a number with one bit for each step of each path, and one for its end.
    """

    __slots__ = ("_deep", "_every", "_named", "_names", "_secret", "root", "rules")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._names = [
            [f'"{step.name}"' for step in rule.path if step.name is not None] for rule in rules
        ]
        self.root = 0
        """State of the whole payload."""
        self._secret = 0
        """Bits of the ends of the paths."""
        self._deep = 0
        """Bits of the steps that may start at any depth."""
        self._every = 0
        """Bits of the steps to all members and elements."""
        self._named: dict[str | None, int] = {}
        """Bits of the steps to members, by name."""
        bit = 1
        for rule in rules:
            self.root |= bit
            for step in rule.path:
                if step.is_deep:
                    self._deep |= bit
                if step.name is None:
                    self._every |= bit
                else:
                    self._named[step.name] = self._named.get(step.name, 0) | bit
                bit <<= 1
            self._secret |= bit
            bit <<= 1

    def step(self, state: int, name: str | None) -> int:
        """Return the state of a member of this name; for None, of an element of an array."""
        matched = state & (self._every | self._named.get(name, 0))
        return (state & self._deep) | matched << 1

    def is_secret(self, state: int) -> bool:
        """Return whether the value with this state is secret."""
        return bool(state & self._secret)

    def may_match(self, text: str) -> bool:
        """Return False only if the payload has no secret value. It takes no parsing."""
        # Without escapes, each name of a path is in the text as it is.
        return "\\" in text or any(all(name in text for name in names) for names in self._names)

    def covers(self, steps: Sequence[str | int]) -> bool:
        """Return whether the value at these steps (names, indexes) is secret or within a secret."""
        state = self.root
        for step in steps:
            if self.is_secret(state):
                return True
            state = self.step(state, step if isinstance(step, str) else None)
        return self.is_secret(state)
