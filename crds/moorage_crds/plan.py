"""``PlacementPlan``: moves that make room, the proof behind them, and how far they got."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from moorage_crds.base import Metadata, Model, Rule, with_rules
from moorage_crds.fields import (
    Message,
    ObjectName,
    Priority,
    Seconds,
    SignedDecimal,
    Uid,
    list_map,
)
from moorage_crds.plan_status import PlanStatus

MAX_MOVES = 256
MAX_TIERS = 32

Trigger = Literal["Unschedulable", "Defragment", "Scaling", "Health", "Manual"]
MoveKind = Literal["Place", "Move", "Evict"]
Verdict = Literal["Optimal", "Feasible", "Infeasible", "Unknown"]


class PodReference(Model):
    """One pod, fenced by its UID."""

    namespace: ObjectName
    """Namespace of the pod."""
    name: ObjectName
    """Name of the pod."""
    uid: Uid
    """UID of the pod; a pod of the same name and another UID is not touched."""


class OwnerReference(Model):
    """The controller of a pod."""

    kind: Annotated[str, Field(max_length=63)]
    """Kind of the controller, for example ReplicaSet."""
    name: ObjectName
    """Name of the controller."""
    uid: Uid
    """UID of the controller; with the shape it tells which new pod may take a reserved place."""


class PlannedMove(Model):
    """What happens to one pod."""

    model_config = with_rules(
        Rule(
            "(self.kind == 'Place') != has(self.from)",
            "is for Move and Evict, which need it; a pod to Place sits nowhere yet",
            ".from",
        ),
        Rule(
            "(self.kind == 'Evict') != has(self.to)",
            "is for Place and Move, which need it; an evicted pod goes nowhere",
            ".to",
        ),
        Rule(
            "!has(self.from) || !has(self.to) || self.from != self.to",
            "must be another node than from",
            ".to",
        ),
        Rule(
            "self.kind == 'Move' || !has(self.strategy)",
            "is for Move only; remove it",
            ".strategy",
        ),
        Rule(
            "self.kind == 'Move' || !has(self.follows)",
            "is for Move only; remove it",
            ".follows",
        ),
    )

    index: Annotated[int, Field(ge=0, le=MAX_MOVES - 1)]
    """Number of the move in this plan, from 0; status speaks of it by this number."""
    step: Annotated[int, Field(ge=0, le=MAX_MOVES - 1)]
    """Step that carries it out; steps run one after the other, from 0."""
    kind: MoveKind
    """Place: a pending pod gets a node. Move: a running pod changes nodes. Evict: a running pod
    makes room for one of higher priority."""
    pod: PodReference
    """The pod that is placed, moved or evicted."""
    owner: OwnerReference | None = None
    """The pod's controller."""
    from_: Annotated[ObjectName | None, Field(alias="from")] = None
    """Node that the pod leaves."""
    to: ObjectName | None = None
    """Node whose room is reserved for the pod or its replacement."""
    strategy: Literal["SurgeFirst", "EvictFirst"] | None = None
    """Whether the replacement is ready before the old pod goes; for Move only."""
    priority: Priority = 0
    """Priority of the pod; the room is not reserved against higher ones."""
    gpus: Annotated[int, Field(ge=0, le=1024)] = 0
    """Accelerators that the pod takes."""
    follows: Annotated[int, Field(ge=0, le=MAX_MOVES - 1)] | None = None
    """Number of the move of an earlier step whose replacement this one moves on. The node in
    between, to of that one and from of this one, only stages it; pod names the pod of that move."""
    group: Annotated[int, Field(ge=0, le=MAX_MOVES - 1)] | None = None
    """Moves of one group make sense only together, and without all others: when one cannot be made,
    those of its group that have not begun are left out, and the rest goes on. Absent: the plan ends
    with this move."""
    reason: Message = ""
    """Why this move is part of the plan."""
    gain: SignedDecimal | None = None
    """What is lost of the plan's gain if this move alone is left out, a decimal string."""
    cost_seconds: SignedDecimal | None = None
    """Seconds that a replacement takes to be ready, as learnt from earlier ones of its workload."""


class TierObjective(Model):
    """What the plan reaches for one priority."""

    priority: Priority
    """Pod priority of the tier."""
    placed: Annotated[int, Field(ge=0, le=1_000_000)]
    """Pods placed after the plan."""
    bound: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Pods that could be placed at most; absent when not known."""
    cost: SignedDecimal = "0"
    """Cost of the tier's moves and evictions, as a decimal string; lower is better."""


class Certificate(Model):
    """What is known about the plan's quality, and how to compute it again."""

    status: Verdict
    """Optimal: nothing better exists. Feasible: it works, a better one may exist. Infeasible:
    proven that no plan exists. Unknown: neither found nor disproven in time. All within the
    constraints that Moorage models."""
    tiers: Annotated[
        tuple[TierObjective, ...],
        Field(max_length=MAX_TIERS, json_schema_extra=list_map("priority")),
    ] = ()
    """Objective by priority, highest first."""
    objective: SignedDecimal | None = None
    """Cost of all moves and evictions, as a decimal string; lower is better."""
    bound: SignedDecimal | None = None
    """Proven lower bound of the cost, as a decimal string."""
    gap: SignedDecimal | None = None
    """Relative distance of objective and bound, as a decimal string; "0" when optimal."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the search."""
    workers: Annotated[int, Field(ge=0, le=1024)] = 1
    """Solver workers; replay is exact for one."""
    steps: Annotated[int, Field(ge=0)] = 0
    """Search steps taken."""
    deterministic_time: SignedDecimal | None = None
    """Solver time that does not depend on the machine, as a decimal string."""
    generation: Annotated[int, Field(ge=0)] = 0
    """Generation of the cluster snapshot that was solved."""
    reason: Message = ""
    """Why it is infeasible or not better, and what would help."""


class NodeOutlook(Model):
    """Free accelerators of one node before and after the plan."""

    name: ObjectName
    """Name of the node."""
    devices: Annotated[int, Field(ge=0, le=1024)]
    """Accelerators of the node."""
    free_before: Annotated[int, Field(ge=0, le=1024)]
    """Free ones before."""
    free_after: Annotated[int, Field(ge=0, le=1024)]
    """Free ones after."""


class Outlook(Model):
    """What a plan against fragmentation changes."""

    fragment_rate_before: SignedDecimal
    """Share of free accelerators outside of wanted holes, a decimal string from 0 to 1."""
    fragment_rate_after: SignedDecimal
    """The same after the plan."""
    gain: SignedDecimal
    """Accelerators in wanted holes, hosts and domains that the plan wins, weighted."""
    bound: SignedDecimal
    """Most that could be won by as many moves, as far as proven."""
    cost_seconds: SignedDecimal
    """Seconds of restarts that it costs."""
    nodes: Annotated[
        tuple[NodeOutlook, ...], Field(max_length=512, json_schema_extra=list_map("name"))
    ] = ()
    """Nodes that change."""


class PlanSpec(Model):
    """What to do. Only mode and ttlSeconds may change after creation."""

    model_config = with_rules(
        *(
            Rule(f"self.{name} == oldSelf.{name}", "cannot change; make a new plan", f".{name}")
            for name in ("trigger", "moves", "certificate")
        ),
        Rule(
            "self.certificate.status != 'Infeasible' || self.moves.size() == 0",
            "must be empty in an Infeasible plan",
            ".moves",
        ),
        Rule(
            "self.moves.all(m, !has(m.follows) || self.moves.exists(f, f.index == m.follows && "
            "f.step < m.step && has(f.to) && f.to == m.from))",
            "may follow only a move of an earlier step that ends where it begins",
            ".moves",
        ),
    )

    trigger: Trigger
    """What asked for the plan."""
    mode: Literal["Off", "Recommend", "Auto"] = "Auto"
    """Auto: carried out. Recommend: waits until somebody sets Auto. Off: not carried out; a running
    plan undoes what can be undone, lets end what was asked to go, and gives its reservations
    back."""
    moves: Annotated[
        tuple[PlannedMove, ...],
        Field(max_length=MAX_MOVES, json_schema_extra=list_map("index")),
    ] = ()
    """What happens to which pod."""
    certificate: Certificate
    """What is known about the plan's quality."""
    outlook: Outlook | None = None
    """What a plan against fragmentation changes."""
    ttl_seconds: Seconds = 600
    """Seconds after which a plan that was not started is superseded."""


class PlacementPlan(Model):
    """Moves that make room for pending pods or heal fragmentation, with their proof."""

    api_version: Literal["moorage.dev/v1alpha1"] = "moorage.dev/v1alpha1"
    kind: Literal["PlacementPlan"] = "PlacementPlan"
    metadata: Metadata = Metadata()
    spec: PlanSpec
    """What to do."""
    status: PlanStatus = PlanStatus()
    """How far it got."""
