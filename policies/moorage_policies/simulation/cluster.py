"""A cluster over time: pods come, run for a while and go; the scheduler runs after each event."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.simulation.extender import Extender
from moorage_policies.simulation.scheduler import Attempt, SchedulerParams, StockScheduler
from moorage_policies.state import ClusterState, NodesListed
from moorage_policies.types import NVIDIA_GPU, DisruptionBudget, Node, Pod


class Arrival(NamedTuple):
    """A pod, when it comes, and how long it runs once it is bound; an evicted one starts anew."""

    at_s: float
    pod: Pod
    runs_s: float


class Sample(NamedTuple):
    """The cluster right after an event.

    Args:
        at_s: time of the event.
        requested: units of the watched resource that placed pods hold.
        waiting: pending pods.
    """

    at_s: float
    requested: int
    waiting: int


@dataclass(frozen=True, slots=True)
class History:
    """What happened.

    Args:
        samples: one per point in time at which something happened.
        waits_s: by UID, from coming to first being bound; pods never bound are missing.
        evictions: pods evicted, counted as often as it happened.
        unfinished: UIDs of pods that never ran to their end.
    """

    samples: tuple[Sample, ...]
    waits_s: Mapping[str, float]
    evictions: int
    unfinished: frozenset[str]

    def mean_requested(self) -> float:
        """Return the time-weighted mean of what placed pods held between first and last event."""
        times = np.array([sample.at_s for sample in self.samples])
        held = np.array([sample.requested for sample in self.samples], dtype=np.float64)
        if len(times) < 2 or times[-1] == times[0]:  # noqa: PLR2004 - a mean needs a span
            return float(held[-1]) if len(held) else 0.0
        return float((held[:-1] * np.diff(times)).sum() / (times[-1] - times[0]))


def play(
    nodes: Sequence[Node],
    arrivals: Sequence[Arrival],
    params: SchedulerParams,
    rng: np.random.Generator,
    *,
    extender: Extender | None = None,
    budgets: Sequence[DisruptionBudget] = (),
    resource: str = NVIDIA_GPU,
    until_s: float = float("inf"),
) -> History:
    """Return the history of a cluster under these arrivals.

    Args:
        nodes: the nodes, there from the start.
        arrivals: pods in any order.
        params: the scheduler's profile.
        rng: breaks ties.
        extender: takes part in every cycle.
        budgets: disruption budgets.
        resource: what samples watch.
        until_s: events after this time are left out.
    """
    uids = {arrival.pod.uid for arrival in arrivals}
    if len(uids) != len(arrivals):
        raise BadInputError("two arrivals have the same pod uid; give each its own", field="uid")
    state = ClusterState()
    state.apply(NodesListed(tuple(nodes)))
    story = _Story(StockScheduler(state, params, rng, extender, budgets), arrivals, resource)
    while story.next_s() <= until_s and story.next_s() < float("inf"):
        story.step()
    return story.history()


class _Story:
    def __init__(
        self, scheduler: StockScheduler, arrivals: Sequence[Arrival], resource: str
    ) -> None:
        self._scheduler = scheduler
        self._resource = resource
        self._arrivals = {arrival.pod.uid: arrival for arrival in arrivals}
        self._agenda = [(arrival.at_s, 1, arrival.pod.uid, 0) for arrival in arrivals]
        heapq.heapify(self._agenda)
        self._starts: dict[str, int] = {}
        self._running: dict[str, Pod] = {}
        self._waits_s: dict[str, float] = {}
        self._samples: list[Sample] = []
        self._evictions = 0

    def next_s(self) -> float:
        """Return when the next event is due, ``inf`` when there is none."""
        return self._agenda[0][0] if self._agenda else float("inf")

    def step(self) -> None:
        """Let everything happen that is due at the next point in time; departures come first."""
        now_s = self.next_s()
        while self.next_s() == now_s:
            _, arrives, uid, start = heapq.heappop(self._agenda)
            if arrives:
                arrival = self._arrivals[uid]
                self._scheduler.add(replace(arrival.pod, created_s=now_s))
            elif self._starts.get(uid) == start and uid in self._running:
                self._scheduler.remove(self._running.pop(uid))
                del self._arrivals[uid]
        for attempt in self._scheduler.run(now_s):
            self._note(attempt, now_s)
        snapshot = self._scheduler.state.snapshot()
        column = snapshot.columns.get(self._resource)
        held = 0 if column is None else int(snapshot.requested[:, column].sum())
        self._samples.append(Sample(now_s, held, len(snapshot.pending)))

    def history(self) -> History:
        """Return what happened so far."""
        left = frozenset(self._arrivals)
        return History(tuple(self._samples), dict(self._waits_s), self._evictions, left)

    def _note(self, attempt: Attempt, now_s: float) -> None:
        uid = attempt.pod.uid
        for victim in attempt.victims:
            self._running.pop(victim.uid, None)
            self._evictions += 1
        if attempt.outcome == "bound":
            self._starts[uid] = self._starts.get(uid, 0) + 1
            self._running[uid] = replace(attempt.pod, node=attempt.node)
            self._waits_s.setdefault(uid, now_s - self._arrivals[uid].at_s)
            ends_s = now_s + self._arrivals[uid].runs_s
            heapq.heappush(self._agenda, (ends_s, 0, uid, self._starts[uid]))
