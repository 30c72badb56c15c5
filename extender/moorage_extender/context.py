"""What the verbs of one extender share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from moorage_crds.ranking import to_ranking_params
from moorage_extender import wire
from moorage_extender.config import Settings
from moorage_extender.decisions import Decisions
from moorage_extender.failures import FailedBinds, FirstFailures
from moorage_extender.feed import Budgets
from moorage_extender.hint_signals import HintSignals
from moorage_extender.hints import Hints
from moorage_extender.kept_room import KeptRoom
from moorage_extender.metrics import Metrics
from moorage_extender.network import Network
from moorage_extender.node_lists import NodeList, decode_node_names
from moorage_extender.planner.answers import Answers
from moorage_extender.planner.books import MigrationBook, PolicyBook
from moorage_extender.remembered import Remembered
from moorage_policies.errors import BadInputError
from moorage_policies.hints import Signals
from moorage_policies.ports import Clock
from moorage_policies.scoring import (
    Fairness,
    HintedNodes,
    Load,
    NetworkNodes,
    Ranker,
    disruptions_in,
    weigh_disruptions,
)
from moorage_policies.scoring.load import Utilisation
from moorage_policies.state import ClusterState, Snapshot
from moorage_policies.types import Pod

PODS_SEEN = 4096
FIRST_FAILURE_MEMORY_S = 3600.0

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class PodsSeen:
    """Pods that filter or prioritize was asked about, for bind, which is told names only."""

    __slots__ = ("_pods",)

    def __init__(self) -> None:
        self._pods: OrderedDict[str, Pod] = OrderedDict()

    def note(self, pod: Pod) -> None:
        """Remember a pod; the one unseen for longest goes when there are too many."""
        self._pods[pod.uid] = pod
        self._pods.move_to_end(pod.uid)
        if len(self._pods) > PODS_SEEN:
            self._pods.popitem(last=False)

    def find(self, uid: str, snapshot: Snapshot) -> Pod | None:
        """Return the unbound pod as the watch knows it, else as a verb was told."""
        return snapshot.pending.get(uid) or snapshot.assumed.get(uid) or self._pods.get(uid)


@dataclass(slots=True)
class Context:
    """One extender's state and tools.

    Args:
        settings: what the admin set.
        clock: monotonic seconds, for deadlines and time-outs.
        wall_clock: Unix seconds, for ages of pods and records.
        why_not_ready: says what is missing before answers rest on facts, empty when nothing is.
        last_snapshot: the facts that the planner solved last, encoded, in pieces.
        listed: says whether the cluster has been read once; before that, answers are neutral.
        utilisation: last batch of what nodes really use, ``None`` while nobody measures.
    """

    settings: Settings
    clock: Clock
    wall_clock: Clock
    why_not_ready: Callable[[], str] = lambda: ""
    listed: Callable[[], bool] = lambda: True
    state: ClusterState = field(init=False)
    ranker: Ranker = field(init=False)
    failed_binds: FailedBinds = field(init=False)
    first_failures: FirstFailures = field(init=False)
    kept_room: KeptRoom = field(init=False)
    hints: Hints = field(init=False)
    hint_signals: HintSignals = field(init=False)
    network: Network = field(init=False)
    decisions: Decisions = field(init=False)
    budgets: Budgets = field(default_factory=Budgets)
    policy: PolicyBook = field(default_factory=PolicyBook)
    migrations: MigrationBook = field(default_factory=MigrationBook)
    answers: Answers = field(default_factory=Answers)
    last_snapshot: Sequence[bytes] = ()
    metrics: Metrics = field(default_factory=Metrics)
    pods_decoded: Remembered[Pod] = field(default_factory=lambda: Remembered(wire.decode_pod))
    names_decoded: Remembered[NodeList] = field(
        default_factory=lambda: Remembered(decode_node_names)
    )
    pods_seen: PodsSeen = field(default_factory=PodsSeen)
    utilisation: Utilisation | None = None
    _ranked_by: int = 0
    _disruptions: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = self.settings
        self.state = ClusterState(assume_ttl_s=settings.assume_ttl_s)
        self.hints = Hints(self.metrics)
        self.network = Network(settings, self.metrics, self.clock)
        told = (
            HintedNodes(self.hints.intents_of, self._hint_signals, self.hints.memory),
            NetworkNodes(self.network.values_of),
            Fairness(self._disruptions_of),
            Load(lambda: self.utilisation, self.clock),
        )
        self.ranker = Ranker(settings.ranking_params(), self.clock, told)
        self.hint_signals = HintSignals(
            self.ranker, self.network, lambda: self.utilisation, self.clock, self.wall_clock
        )
        self.failed_binds = FailedBinds(settings.failed_bind_memory_s, self.clock)
        self.first_failures = FirstFailures(FIRST_FAILURE_MEMORY_S, self.wall_clock)
        self.kept_room = KeptRoom(self.wall_clock)
        self.decisions = Decisions(settings.decisions_kept)

    def learn(self) -> None:
        """Rank from now on by the policy as it is, and by what the cluster and its plans tell."""
        if self._ranked_by != self.policy.version:
            self._ranked_by = self.policy.version
            try:
                params = to_ranking_params(self.policy.spec, self.settings.ranking_params())
            except BadInputError as error:
                self.degraded("prioritize", "policy")
                log.warning("policy does not rank", field=error.field, error=str(error))
            else:
                self.ranker.adopt(params)
                self.network.adopt(params.topology_levels)
        disrupted = disruptions_in(self.kept_room.plans.values())
        self._disruptions = weigh_disruptions(disrupted, self.wall_clock())
        self.ranker.learn(self.state.snapshot())

    def take_load(self, batch: Utilisation) -> None:
        """Rank by this batch of measurements from now on."""
        self.utilisation = batch

    def _hint_signals(self, snapshot: Snapshot) -> Signals:
        return self.hint_signals.of(snapshot)

    def _disruptions_of(self, pod: Pod) -> float:
        return self._disruptions.get(pod.owner.uid, 0.0) if pod.owner is not None else 0.0

    def degraded(self, verb: str, reason: str) -> None:
        """Count an answer that is less than it should be."""
        self.metrics.degraded.labels(verb, reason).inc()

    def forget_old(self) -> None:
        """Drop what time has settled: failures, and bindings that the watch never confirmed."""
        self.failed_binds.forget_old()
        self.first_failures.forget_old()
        self.kept_room.refresh()
        self.metrics.assumed_expired.inc(len(self.state.expire(self.clock())))
