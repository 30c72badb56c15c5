"""When the bell is rung for pods that kube-scheduler would not try again by itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from moorage_extender.planner.voice import Voice
from moorage_policies.ports import Clock
from moorage_policies.state import Snapshot
from moorage_policies.types import Pod

NATURAL_S = 0.4
"""Room mostly comes with an event of its own; the bell waits for that long."""
PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


@dataclass(slots=True)
class _Sleeper:
    """A pod that should be tried."""

    next_s: float
    pause_s: float = PAUSE_S


@dataclass(slots=True)
class Waking:
    """Rings for pods that should be tried, each time after a longer pause.

    Args:
        voice: rings.
        clock: monotonic seconds.
    """

    voice: Voice
    clock: Clock
    _sleepers: dict[str, _Sleeper] = field(default_factory=dict)

    async def wake(
        self, pods: Mapping[str, Pod], snapshot: Snapshot, *, urgent: Collection[str] = ()
    ) -> int:
        """Ring if one of the pods is due; return how often.

        Args:
            pods: pods that should be tried, by UID.
            snapshot: the cluster.
            urgent: those that no event of their own will wake.
        """
        now_s = self.clock()
        self._sleepers = {uid: one for uid, one in self._sleepers.items() if uid in pods}
        for uid in pods:
            wait_s = 0.0 if uid in urgent else NATURAL_S
            self._sleepers.setdefault(uid, _Sleeper(now_s + wait_s))
        due = [uid for uid, one in self._sleepers.items() if now_s >= one.next_s]
        if not due or not snapshot.nodes:
            return 0
        for uid in due:
            sleeper = self._sleepers[uid]
            sleeper.next_s = now_s + sleeper.pause_s
            sleeper.pause_s = min(LONGEST_PAUSE_S, 2 * sleeper.pause_s)
        # one bell reaches everybody of its own priority and below
        loudest = max((pods[uid] for uid in due), key=lambda pod: (pod.priority, pod.uid))
        await self.voice.ring(loudest, snapshot.node_names[0])
        return 1
