"""What Moorage promises at every moment, checked by machine on a recorded history.

The same checks judge property tests, stories on a real control plane and, through the live audit,
a running cluster. They share no code with what decides, and believe only what was recorded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from moorage_policies.matching import node_matches, selector_matches, tolerates
from moorage_policies.types import PODS, DisruptionBudget, Node, Pod

OUR_SCHEDULER = "moorage-scheduler"


@dataclass(frozen=True, slots=True)
class Gang:
    """Pods of which all or none run.

    Args:
        name: its name.
        uids: its pods.
        least: fewest bound members that make sense, unless there are none.
    """

    name: str
    uids: frozenset[str]
    least: int


@dataclass(frozen=True, slots=True)
class Step:
    """One disrupting step of a stored plan.

    Args:
        plan: UID of the plan.
        index: number of the move.
        uid: UID of the pod.
        beneficiary: highest priority that it makes room for, ``None`` when the pod only moves.
    """

    plan: str
    index: int
    uid: str
    beneficiary: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """The cluster at one revision.

    Args:
        revision: grows with every change.
        at_s: Unix seconds.
        nodes: nodes by name.
        pods: pods by UID.
        budgets: disruption budgets.
        gangs: gangs.
        steps: disrupting steps of every stored plan.
        holder: who holds the operator's Lease, empty when nobody is known to.
    """

    revision: int
    at_s: float
    nodes: Mapping[str, Node]
    pods: Mapping[str, Pod]
    budgets: tuple[DisruptionBudget, ...] = ()
    gangs: tuple[Gang, ...] = ()
    steps: tuple[Step, ...] = ()
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """One write of ours.

    Args:
        revision: revision of the frame that it was made on.
        at_s: Unix seconds.
        kind: what it did.
        uid: UID of the pod, empty for other writes.
        writer: who wrote.
        fenced: whether the write named the UID as its precondition.
        by_api: whether an eviction went through the Eviction API.
    """

    revision: int
    at_s: float
    kind: Literal["Bind", "Evict", "Write"]
    uid: str = ""
    writer: str = ""
    fenced: bool = True
    by_api: bool = True


@dataclass(frozen=True, slots=True)
class AuditParams:
    """What counts as broken.

    Args:
        gang_patience_s: how long a gang may be partly bound.
        takeover_s: how long a former holder of the Lease may still be heard of.
        max_evictions: most evictions within ``window_s``; ``None`` sets no limit.
        window_s: length of the sliding window, seconds.
        protected_namespaces: namespaces whose pods are never evicted.
        protected_priority: priority from which pods are never evicted.
        same_tier_eviction: whether equals may be evicted for each other.
    """

    gang_patience_s: float = 60.0
    takeover_s: float = 15.0
    max_evictions: int | None = None
    window_s: float = 3600.0
    protected_namespaces: frozenset[str] = frozenset({"kube-system"})
    protected_priority: int = 2_000_000_000
    same_tier_eviction: bool = False


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken.

    Args:
        invariant: its number, 1 to 6.
        revision: where it shows.
        subject: node, pod, gang, plan or writer.
        message: what is wrong.
    """

    invariant: int
    revision: int
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class History:
    """Frames by rising revision, and what we wrote."""

    frames: Sequence[Frame]
    acts: Sequence[Act] = ()
    params: AuditParams = field(default_factory=AuditParams)

    def frame_of(self, revision: int) -> Frame | None:
        """Return the newest frame that is not later than the revision."""
        earlier = [frame for frame in self.frames if frame.revision <= revision]
        return earlier[-1] if earlier else None


def audit(history: History) -> tuple[Violation, ...]:
    """Return every promise that the history breaks, by invariant."""
    return (
        *over_committed_nodes(history),
        *misplaced_pods(history),
        *broken_gangs(history),
        *wrong_evictions(history),
        *unplanned_or_repeated_steps(history),
        *writes_of_others(history),
    )


def over_committed_nodes(history: History) -> Iterator[Violation]:
    """Yield 1: nodes on which a pod that we placed asks for more than is there."""
    for frame in history.frames:
        placed: defaultdict[str, list[Pod]] = defaultdict(list)
        for pod in frame.pods.values():
            if pod.node is not None and pod.phase not in ("Succeeded", "Failed"):
                placed[pod.node].append(pod)
        for name, pods in placed.items():
            node = frame.nodes.get(name)
            if node is not None and any(pod.scheduler == OUR_SCHEDULER for pod in pods):
                yield from _excess(frame, node, pods)


def _excess(frame: Frame, node: Node, pods: Sequence[Pod]) -> Iterator[Violation]:
    used: defaultdict[str, int] = defaultdict(int)
    used[PODS] = len(pods)
    for pod in pods:
        for name, amount in pod.requests.items():
            used[name] += amount
    for name, amount in used.items():
        offered = node.allocatable.get(name, 0)
        if amount > offered:
            message = f"{amount} {name} are promised, {offered} are there"
            yield Violation(1, frame.revision, node.name, message)


def misplaced_pods(history: History) -> Iterator[Violation]:
    """Yield 2: pods that came to a node which refused them when they came."""
    for before, after in pairwise(history.frames):
        for uid, pod in after.pods.items():
            earlier = before.pods.get(uid)
            came = pod.node is not None and (earlier is None or earlier.node is None)
            node = before.nodes.get(pod.node or "") or after.nodes.get(pod.node or "")
            if not came or node is None or pod.scheduler != OUR_SCHEDULER:
                continue
            if not node_matches(pod, node) or not tolerates(pod.tolerations, node.taints):
                message = f"{pod.key} came to {node.name}, which does not accept it"
                yield Violation(2, after.revision, pod.key, message)


def broken_gangs(history: History) -> Iterator[Violation]:
    """Yield 3: gangs of which some but too few members are bound for too long."""
    since_s: dict[str, float] = {}
    for frame in history.frames:
        for gang in frame.gangs:
            pods = (frame.pods.get(uid) for uid in gang.uids)
            bound = sum(pod is not None and pod.node is not None for pod in pods)
            if not 0 < bound < gang.least:
                since_s.pop(gang.name, None)
                continue
            first_s = since_s.setdefault(gang.name, frame.at_s)
            if frame.at_s - first_s > history.params.gang_patience_s:
                message = f"{bound} of {gang.least} members are bound for {frame.at_s - first_s} s"
                yield Violation(3, frame.revision, gang.name, message)


def wrong_evictions(history: History) -> Iterator[Violation]:
    """Yield 4: evictions of whom nobody may evict, in a way or at a time nobody may."""
    recent: list[float] = []
    for act in history.acts:
        if act.kind != "Evict":
            continue
        frame = history.frame_of(act.revision)
        pod = frame.pods.get(act.uid) if frame is not None else None
        faults = list(_ways(act))
        if frame is not None and pod is not None:
            faults += _victim_faults(pod, frame, history.params)
        recent = [at_s for at_s in recent if act.at_s - at_s < history.params.window_s]
        recent.append(act.at_s)
        limit = history.params.max_evictions
        if limit is not None and len(recent) > limit:
            faults.append(f"{len(recent)} evictions in {history.params.window_s:g} s")
        subject = pod.key if pod is not None else act.uid
        yield from (Violation(4, act.revision, subject, fault) for fault in faults)


def _ways(act: Act) -> Iterator[str]:
    if not act.by_api:
        yield "it was not evicted through the Eviction API"
    if not act.fenced:
        yield "the eviction did not name the UID"


def _victim_faults(pod: Pod, frame: Frame, params: AuditParams) -> Iterator[str]:
    opt_outs = {"moorage.dev/movable": "false", "moorage.dev/preemptible": "false"}
    if pod.owner is None:
        yield "it has no controller"
    if pod.owner is not None and pod.owner.kind in ("DaemonSet", "Node"):
        yield f"it belongs to a {pod.owner.kind}"
    if pod.priority_class.startswith("system-") or pod.priority >= params.protected_priority:
        yield "it is critical"
    if pod.namespace in params.protected_namespaces:
        yield f"namespace {pod.namespace} is protected"
    if pod.scheduler != OUR_SCHEDULER:
        yield "it is not ours"
    if any(pod.annotations.get(name) == value for name, value in opt_outs.items()):
        yield "it opted out"
    yield from _moment_faults(pod, frame, params)


def _moment_faults(pod: Pod, frame: Frame, params: AuditParams) -> Iterator[str]:
    floor = pod.priority + (0 if params.same_tier_eviction else 1)
    for step in frame.steps:
        if step.uid == pod.uid and step.beneficiary is not None and step.beneficiary < floor:
            yield f"its priority {pod.priority} is not below {step.beneficiary}"
    for budget in _budgets_over(pod, frame.budgets):
        if budget.disruptions_allowed < 1 and not pod.terminating:
            yield f"budget {budget.name} allowed no disruption"


def _budgets_over(pod: Pod, budgets: Iterable[DisruptionBudget]) -> Iterator[DisruptionBudget]:
    for budget in budgets:
        if budget.namespace == pod.namespace and selector_matches(budget.selector, pod.labels):
            yield budget


def unplanned_or_repeated_steps(history: History) -> Iterator[Violation]:
    """Yield 5: evictions without a stored plan, and steps that were carried out twice."""
    gone: set[str] = set()
    for act in history.acts:
        if act.kind != "Evict":
            continue
        frame = history.frame_of(act.revision)
        pod = frame.pods.get(act.uid) if frame is not None else None
        subject = pod.key if pod is not None else act.uid
        if frame is not None and all(step.uid != act.uid for step in frame.steps):
            yield Violation(5, act.revision, subject, "no stored plan evicts it")
        if act.uid in gone:
            yield Violation(5, act.revision, subject, "it was evicted before")
        gone.add(act.uid)


def writes_of_others(history: History) -> Iterator[Violation]:
    """Yield 6: writes by somebody who did not hold the Lease."""
    for act in history.acts:
        if not act.writer:
            continue
        since_s = act.at_s - history.params.takeover_s
        current = history.frame_of(act.revision)
        holders = {frame.holder for frame in history.frames if since_s <= frame.at_s <= act.at_s}
        holders |= {current.holder} if current is not None else set()
        known = holders - {""}
        if known and act.writer not in known:
            message = f"{act.writer} wrote while {', '.join(sorted(known))} held the Lease"
            yield Violation(6, act.revision, act.writer, message)
