"""A world in which plans run: controllers, a scheduler and people act at random between looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from moorage_policies.invariants import Act, AuditParams, Frame, History, Step
from moorage_policies.plans import (
    DELETION_COST_ANNOTATION,
    MARK,
    Action,
    Evict,
    Mark,
    Move,
    Observation,
    Plan,
    PlanParams,
    PlanProgress,
    PlanRecord,
    Record,
    Unmark,
    Wait,
    Workload,
    after_eviction,
    decide,
)
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import (
    DisruptionBudget,
    LabelSelector,
    Node,
    Owner,
    Pod,
    Requirement,
)

OWNER = Owner("ReplicaSet", "chat-abc", "rs-chat")
LABELS = {"app": "chat"}
OURS = "moorage-scheduler"


class CrashError(Exception):
    """The executor died."""


@dataclass
class World:
    """A pool's Deployment of two-GPU pods on nodes of four, and one plan.

    ``crash_at`` kills the executor at so many actions from now, before or after the action took
    effect.
    """

    moves: tuple[Move, ...] = ()
    desired: int = 2
    now_s: float = 1000.0
    params: PlanParams = field(
        default_factory=lambda: PlanParams(
            settle_s=1.0,
            owner_cool_down_s=0.0,
            surge_deadline_s=60.0,
            evict_deadline_s=60.0,
            bind_deadline_s=60.0,
        )
    )
    nodes: dict[str, Node] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    plan: Plan = field(default_factory=lambda: Plan("p", "plan-p", created_s=1000.0))
    progress: PlanProgress = field(default_factory=PlanProgress)
    budget_open: bool = True
    quota_full: bool = False
    crash_at: tuple[int, bool] | None = None
    surge: int = 0
    """What the pools service has written."""
    steers: bool = True
    """Whether the extender takes replacements to their place."""
    evictions: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        for name in ("a", "b", "c"):
            self.nodes[name] = make_node(name, gpus=4)
        for index in range(self.desired):
            self.create(f"chat-{index}", node="a", ready=True)
        if self.moves:
            self.plan = replace(self.plan, moves=self.moves)
        self.film()

    # --- what others do

    def create(self, name: str, *, node: str | None = None, ready: bool = False) -> Pod:
        pod = make_pod(
            name,
            uid=f"uid-{name}",
            gpus=2,
            owner=OWNER,
            labels=LABELS,
            scheduler=OURS,
            node=node,
            ready=ready,
            phase="Running" if ready else "Pending",
        )
        self.pods[pod.uid] = pod
        return pod

    def change(self, uid: str, **fields: object) -> None:
        if uid in self.pods:
            self.pods[uid] = replace(self.pods[uid], **fields)
            self.film()

    def tick_pools(self) -> None:
        """The pools service: desired plus what surging moves add."""
        running = self.progress.phase == "Executing"
        surging = [m for m in self.progress.moves if m.phase == "Surging"]
        self.surge = len(surging) if running else 0

    def tick_replicaset(self) -> None:
        """The ReplicaSet: one pod more or less, victims ranked as Kubernetes ranks them."""
        live = [pod for pod in self.pods.values() if not pod.terminating]
        wanted = self.desired + self.surge
        if len(live) < wanted and not self.quota_full:
            self._count += 1
            self.create(f"chat-new-{self._count}")
        elif len(live) > wanted:
            victim = min(live, key=_victim_rank)
            self.change(victim.uid, terminating=True)
        self.film()

    def tick_scheduler(self) -> None:
        for pod in list(self.pods.values()):
            if pod.node is None and not pod.terminating:
                choice = next((n for n in self._choices(pod) if self._fits(n)), None)
                if choice is not None:
                    self.change(pod.uid, node=choice)

    def tick_kubelet(self) -> None:
        for pod in list(self.pods.values()):
            if pod.terminating:
                del self.pods[pod.uid]
            elif pod.node is not None and not pod.ready:
                self.change(pod.uid, ready=True, phase="Running")
        self.film()

    def tick_all(self) -> None:
        self.tick_pools()
        self.tick_replicaset()
        self.tick_scheduler()
        self.tick_kubelet()

    def _choices(self, pod: Pod) -> list[str]:
        kept = [
            m.target
            for m, state in self.record.pairs()
            if state.phase in ("Surging", "Evicting", "Binding")
            and m.takes(pod)
            and pod.uid not in state.siblings
            and m.target in self.nodes
        ]
        if self.steers and kept and self.progress.phase == "Executing":
            return kept
        return sorted(self.nodes, reverse=True)

    def _fits(self, name: str) -> bool:
        used = sum(pod.requests["nvidia.com/gpu"] for pod in self.pods.values() if pod.node == name)
        return not self.nodes[name].unschedulable and used + 2 <= 4

    # --- what the executor does

    @property
    def record(self) -> PlanRecord:
        return PlanRecord(self.plan, self.progress)

    @property
    def budgets(self) -> tuple[DisruptionBudget, ...]:
        selector = LabelSelector((Requirement("app", "In", ("chat",)),))
        return (DisruptionBudget("default", "guard", selector, int(self.budget_open)),)

    def observe(self) -> Observation:
        workload = Workload(
            "chat",
            pool="chat",
            desired=self.desired,
            surge=self.surge,
            revisions=frozenset({OWNER.uid}),
            trouble="exceeded quota: pods" if self.quota_full and self.surge else "",
        )
        return Observation(
            pods=dict(self.pods),
            nodes=dict(self.nodes),
            budgets=self.budgets,
            workloads={OWNER.uid: workload},
        )

    def look(self) -> Action:
        """Decide once and act; return the action."""
        action = decide(self.record, self.observe(), self.params, self.now_s).value
        if isinstance(action, Wait):
            return action
        self.actions.append(type(action).__name__)
        self._crash(committed=False)
        self._act(action)
        self._crash(committed=True)
        return action

    def _act(self, action: Action) -> None:
        match action:
            case Record(progress):
                self.progress = progress
            case Mark(uid, _, _):
                self.change(uid, annotations={DELETION_COST_ANNOTATION: MARK})
            case Unmark(uid, _, _):
                self.change(uid, annotations={})
            case Evict(uid, _, _, move):
                self._evict(uid, move)
        self.film()

    def _evict(self, uid: str, move: object) -> None:
        pod = self.pods.get(uid)
        answer = "evicted" if self.budget_open else "budget"
        if pod is None:
            answer = "gone"
        elif answer == "evicted":
            self.acts.append(Act(len(self.frames), self.now_s, "Evict", uid))
            self.evictions.append(uid)
            self.change(uid, terminating=True)
        after = after_eviction(move, answer, "closed", self.now_s)  # type: ignore[arg-type]
        if after != move:
            self.progress = self.progress.with_move(after)

    def _crash(self, *, committed: bool) -> None:
        if self.crash_at is None:
            return
        left, when = self.crash_at
        if when == committed:
            left -= 1
            self.crash_at = (left, when) if left else None
            if not left:
                raise CrashError

    def run(self, rounds: int = 200) -> None:
        """Let everybody act in turn until the plan has ended and nothing changes any more."""
        for _ in range(rounds):
            try:
                while not isinstance(self.look(), Wait):
                    pass
            except CrashError:
                continue
            self.now_s += 0.5
            self.tick_all()
            if self.progress.has_ended and self.is_calm():
                return

    def is_calm(self) -> bool:
        live = [pod for pod in self.pods.values() if not pod.terminating]
        return self.surge == 0 and len(live) == len(self.pods) == self.desired

    # --- what is judged

    def film(self) -> None:
        steps = tuple(Step(self.plan.uid, m.index, m.uid) for m in self.plan.moves if m.disrupts)
        revision = len(self.frames) + 1
        frame = Frame(
            revision, self.now_s, dict(self.nodes), dict(self.pods), self.budgets, (), steps
        )
        self.frames.append(frame)

    def history(self) -> History:
        return History(self.frames, self.acts, AuditParams())

    def ready(self) -> int:
        return sum(pod.ready and not pod.terminating for pod in self.pods.values())

    def fewest_ready(self) -> int:
        return min(
            sum(pod.ready and not pod.terminating for pod in frame.pods.values())
            for frame in self.frames
        )


def _victim_rank(pod: Pod) -> tuple[bool, bool, bool, int, str]:
    """Rank as the ReplicaSet controller does: what comes first goes first."""
    cost = int(pod.annotations.get(DELETION_COST_ANNOTATION, "0"))
    newest_first = "".join(chr(255 - ord(c)) for c in pod.name)
    return (pod.node is not None, pod.phase == "Running", pod.ready, cost, newest_first)


def make_move(uid: str = "uid-chat-0", target: str = "b", **fields: object) -> Move:
    base = Move(
        index=0,
        step=0,
        kind="Move",
        uid=uid,
        namespace="default",
        name=uid.removeprefix("uid-"),
        owner=OWNER,
        source="a",
        target=target,
        gpus=2,
    )
    return replace(base, **fields)  # type: ignore[arg-type]


@pytest.fixture
def move() -> Callable[..., Move]:
    return make_move


@pytest.fixture
def world() -> Callable[..., World]:
    return World


@pytest.fixture
def crash() -> type[Exception]:
    return CrashError
