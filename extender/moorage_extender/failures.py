"""What just failed: nodes that a pod could not be bound to, and pods that fit nowhere."""

from __future__ import annotations

from collections.abc import Collection

from moorage_policies.ports import Clock


class FailedBinds:
    """Remembers failed bindings for a while.

    Args:
        memory_s: seconds for which a failure counts.
        clock: monotonic seconds.
    """

    __slots__ = ("_clock", "_memory_s", "_until_s")

    def __init__(self, memory_s: float, clock: Clock) -> None:
        self._memory_s = memory_s
        self._clock = clock
        self._until_s: dict[str, dict[str, float]] = {}

    def note(self, uid: str, node: str) -> None:
        """Remember that binding the pod to the node failed now."""
        self._until_s.setdefault(uid, {})[node] = self._clock() + self._memory_s

    def nodes_of(self, uid: str) -> Collection[str]:
        """Return the nodes that failed the pod lately."""
        failures = self._until_s.get(uid)
        if failures is None:
            return ()
        now_s = self._clock()
        return {node for node, until_s in failures.items() if now_s < until_s}

    def forget_old(self) -> None:
        """Drop failures that no longer count."""
        now_s = self._clock()
        for uid, failures in list(self._until_s.items()):
            if all(until_s <= now_s for until_s in failures.values()):
                del self._until_s[uid]

    def __len__(self) -> int:
        return len(self._until_s)


class FirstFailures:
    """Since when each pod fits nowhere.

    Args:
        memory_s: seconds for which a pod is remembered.
        wall_clock: Unix seconds.
    """

    __slots__ = ("_memory_s", "_since_s", "_wall_clock")

    def __init__(self, memory_s: float, wall_clock: Clock) -> None:
        self._memory_s = memory_s
        self._wall_clock = wall_clock
        self._since_s: dict[str, float] = {}

    def since_s(self, uid: str) -> float:
        """Return when the pod first failed: now, if it is not known to have failed before."""
        return self._since_s.setdefault(uid, self._wall_clock())

    def forget_old(self) -> None:
        """Drop pods that first failed long ago."""
        limit_s = self._wall_clock() - self._memory_s
        self._since_s = {uid: since for uid, since in self._since_s.items() if since > limit_s}
