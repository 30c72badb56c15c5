"""The network's scores: worked out off the verbs per class of workload and peers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import structlog

from moorage_crds.names import (
    NETWORK_CLASS_ANNOTATION,
    NETWORK_GROUP_LABEL,
    POOL_LABEL,
    ROLE_LABEL,
)
from moorage_extender.config import Settings
from moorage_extender.metrics import Metrics
from moorage_policies.errors import BadInputError
from moorage_policies.network.document import MAX_BYTES, read
from moorage_policies.network.model import Model
from moorage_policies.network.samples import (
    MAX_NODES,
    Gathered,
    Report,
    Sample,
    SampleTable,
    gather,
)
from moorage_policies.network.scores import Judge, NodeScores, Sight, topology_values
from moorage_policies.network.telemetry import View
from moorage_policies.network.topology import detect_levels, places_of
from moorage_policies.ports import Clock
from moorage_policies.scoring import Ranking
from moorage_policies.state import NodeTable, Snapshot
from moorage_policies.types import FloatArray, IntArray, Pod

POOL_WORKLOAD = "kv-transfer"
"""Class of a pool's pods whose annotation names none."""

MAX_KEYS = 512
"""Classes with their peers that are kept scored; the one unasked for longest goes."""

MAX_PEERS = 64
"""Peers' nodes that one pod is scored by; of more, the first by name."""

LIARS_SHOWN = 10

Key = tuple[str, tuple[str, ...]]
"""Class of workload, and names of the nodes of its peers."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """Scores of one key for the nodes of one table, and the news that they rest on."""

    names: tuple[str, ...]
    news: int
    scores: NodeScores


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Telemetry that was looked at, and what it is made of."""

    sight: Sight
    gathered: Gathered


class Network:
    """Knows what the network says of pods before they are ranked.

    Args:
        settings: mode, model, staleness.
        metrics: counts.
        clock: monotonic seconds.
    """

    def __init__(self, settings: Settings, metrics: Metrics, clock: Clock) -> None:
        self._mode = settings.network_mode
        self._own_levels = settings.topology_levels
        self._levels = settings.topology_levels
        self._metrics = metrics
        self._clock = clock
        self._model = _load(settings)
        self._judge = Judge(self._model, stale_after_s=settings.network_stale_after_s)
        self._samples = SampleTable()
        self._entries: OrderedDict[Key, _Entry | None] = OrderedDict()
        self._snapshot: Snapshot | None = None
        self._view: View | None = None
        self._places: tuple[tuple[IntArray, ...], IntArray] | None = None
        self._news = 0
        self._came = asyncio.Event()

    @property
    def is_on(self) -> bool:
        """Return whether anything is to be done at all."""
        return self._mode != "Off"

    @property
    def has_model(self) -> bool:
        """Return whether a usable model was loaded."""
        return self._model is not None

    def adopt(self, levels: tuple[str, ...]) -> None:
        """Take over a policy's topology levels; without any, those of the settings hold."""
        self._levels = levels or self._own_levels
        self._places = None
        self.wake()

    def take(self, report: Report) -> None:
        """Take a probe's report."""
        self._samples.take(report, self._clock())

    def wake(self) -> None:
        """Score everything anew soon, since telemetry came or grew old; till then scores hold."""
        self._news += 1
        self._came.set()

    def values_of(self, pod: Pod, snapshot: Snapshot) -> FloatArray | None:
        """Return the pod's scores by row, ``None`` when they do not count or are not known."""
        if self._mode != "Auto":
            return None
        scores = self._find(pod, snapshot)
        return None if scores is None else scores.values

    def notice(self, pod: Pod, snapshot: Snapshot) -> None:
        """Have a pod's scores worked out soon unless they are known."""
        if self.is_on:
            self._find(pod, snapshot)

    def is_unscored(self, pod: Pod, snapshot: Snapshot) -> bool:
        """Return whether a pod's scores count and are not known yet."""
        if self._mode != "Auto" or _key_of(pod, snapshot) is None:
            return False
        return self._find(pod, snapshot) is None

    def round_trips_ms(self, snapshot: Snapshot) -> FloatArray | None:
        """Return usual round trips between the snapshot's nodes, ``None`` unless probes tell."""
        if not self.is_on:
            return None
        if self._snapshot is None:
            self._snapshot = snapshot
        view = self._view
        return None if view is None or view.nodes != snapshot.node_names else view.usual_rtt_ms

    def places(self, table: NodeTable) -> IntArray | None:
        """Return the nodes' places on the levels that an admin named, ``None`` without any."""
        if not self._levels:
            return None
        columns = tuple(table.label(key).codes for key in self._levels)
        known = self._places
        if known is None or any(a is not b for a, b in zip(known[0], columns, strict=False)):
            self._places = known = (columns, places_of(table, self._levels))
        return known[1]

    def note(self, pod: Pod, ranking: Ranking, snapshot: Snapshot) -> None:
        """Count what the network said of a ranked pod, and what it expects of the chosen node."""
        if not self.is_on or _key_of(pod, snapshot) is None:
            return
        scores = self._find(pod, snapshot)
        if scores is None:
            self._metrics.network_rankings.labels("not-scored-yet").inc()
            return
        self._metrics.network_rankings.labels(scores.abstained or "scored").inc()
        if scores.abstained or scores.log_s is None or ranking.chosen is None:
            return
        expected = scores.log_s[ranking.rows]
        if np.isfinite(expected[ranking.chosen]):
            regret = float(np.exp(expected[ranking.chosen] - np.nanmin(expected)) - 1)
            self._metrics.network_regret.labels(self._mode).observe(max(0.0, regret))

    async def run(self) -> None:
        """Score what is asked for and not known, a key at a time between verbs."""
        while True:
            await self._came.wait()
            self._came.clear()
            await self.refresh()

    async def refresh(self) -> None:
        """Score what was asked for and is not known, or rests on old news."""
        snapshot = self._snapshot
        if snapshot is None:
            return
        news = self._news
        missing = [key for key, entry in self._entries.items() if _is_old(entry, snapshot, news)]
        now_s = self._clock()
        samples = self._samples.recent(now_s)
        # in a thread: numbers of large clusters take longer than verbs may wait
        seen = await asyncio.to_thread(self._look, snapshot.table, samples, now_s)
        self._tell(seen)
        told = seen is not None and bool(np.isfinite(seen.gathered.view.usual_rtt_ms).any())
        self._view = seen.gathered.view if seen is not None and told else None
        for key in missing:
            sight = None if seen is None else seen.sight
            scores = await asyncio.to_thread(self._score, key, snapshot.table, sight)
            if key in self._entries:
                self._entries[key] = _Entry(snapshot.node_names, news, scores)

    def _look(self, table: NodeTable, samples: tuple[Sample, ...], now_s: float) -> _Seen | None:
        """Return the telemetry as it is now, ``None`` on clusters that are too large for it."""
        if len(table) > MAX_NODES:
            return None
        places = places_of(table, self._levels or detect_levels(table))
        gathered = gather(samples, table.names, places, now_s)
        return _Seen(self._judge.look(gathered.view), gathered)

    def _tell(self, seen: _Seen | None) -> None:
        """Count and log what was left out."""
        for reason, count in seen.gathered.ignored.items() if seen is not None else ():
            self._metrics.network_ignored.labels(reason).inc(count)
        if seen is not None and seen.gathered.liars:
            nodes = ", ".join(seen.gathered.liars[:LIARS_SHOWN])
            log.warning("probe-ignored", nodes=nodes, why="their peers contradict them")

    def _score(self, key: Key, table: NodeTable, sight: Sight | None) -> NodeScores:
        workload, names = key
        peers = np.array([table.index[n] for n in names if n in table.index], dtype=np.int64)
        rows = np.arange(len(table))
        if not len(peers):
            return NodeScores(None, "no-peers")
        profile = self._model.workloads.get(workload) if self._model is not None else None
        if sight is None or (self._model is not None and profile is None):
            places = places_of(table, self._levels or detect_levels(table))
            problem = "too-many-nodes" if sight is None else "unknown-class"
            return NodeScores(topology_values(places, peers, rows), problem)
        if profile is None:
            return NodeScores(topology_values(sight.view.places, peers, rows), "no-model")
        return self._judge.score(sight, profile.to_job(workload, peers), rows)

    def _find(self, pod: Pod, snapshot: Snapshot) -> NodeScores | None:
        key = _key_of(pod, snapshot)
        if key is None:
            return None
        entry = self._entries.get(key)
        if entry is not None and entry.names is snapshot.node_names:
            self._entries.move_to_end(key)
            return entry.scores
        self._entries[key] = entry
        if len(self._entries) > MAX_KEYS:
            self._entries.popitem(last=False)
        self._snapshot = snapshot
        self._came.set()
        return None


def _is_old(entry: _Entry | None, snapshot: Snapshot, news: int) -> bool:
    return entry is None or entry.names is not snapshot.node_names or entry.news != news


def _key_of(pod: Pod, snapshot: Snapshot) -> Key | None:
    """Return the pod's class and where its peers sit; ``None`` for a pod without placed peers.

    Peers are placed pods of the same network group, or those of other roles of the same pool.
    """
    group, pool = pod.labels.get(NETWORK_GROUP_LABEL), pod.labels.get(POOL_LABEL)
    if group:
        label, own_role = (NETWORK_GROUP_LABEL, group), None
    elif pool and ROLE_LABEL in pod.labels:
        label, own_role = (POOL_LABEL, pool), pod.labels[ROLE_LABEL]
    else:
        return None
    nodes: set[str] = set()
    groups = snapshot.groups
    for key in groups.by_label.get(label, {}):
        found = groups.every[key]
        if found.namespace != pod.namespace or found.terminating:
            continue
        if own_role is None or found.labels.get(ROLE_LABEL) != own_role:
            nodes |= found.counts.keys()
    if not nodes:
        return None
    workload = pod.annotations.get(NETWORK_CLASS_ANNOTATION) or (POOL_WORKLOAD if pool else "any")
    return workload[:63], tuple(sorted(nodes)[:MAX_PEERS])


def _load(settings: Settings) -> Model | None:
    """Return the model, ``None`` with a word in the log if there is none that can be used.

    Scheduling goes on without: a bad document must not keep the scheduler from starting.
    """
    path = settings.network_model_file
    if settings.network_mode == "Off" or path is None:
        return None
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        model = read(data, expected_digest=settings.network_model_digest)
    except OSError as error:
        log.warning("network-model-unreadable", path=str(path), why=error.strerror)
        return None
    except BadInputError as error:
        log.warning("network-model-refused", path=str(path), why=str(error))
        return None
    log.info("network-model-loaded", family=model.family, distrust=model.distrust)
    return model
