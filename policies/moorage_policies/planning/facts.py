"""What the planner looks at: one consistent view of the cluster, and the limits of the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from moorage_policies.plans.observation import PlanParams
from moorage_policies.plans.records import ENDED, PlanRecord
from moorage_policies.plans.slots import LONGEST_S
from moorage_policies.types import AcceleratorClass, DisruptionBudget, Node, Pod

GPU_PRODUCT_LABEL = "nvidia.com/gpu.product"


@dataclass(frozen=True, slots=True)
class Facts:
    """The cluster at one moment.

    Args:
        at_s: Unix seconds.
        generation: generation of the snapshot.
        nodes: all nodes.
        pods: all live pods, assumed nodes filled in.
        budgets: disruption budgets.
        plans: plans that run, and ended ones as far as limits count them.
        migrations: how the pool allows a running pod to be moved, by UID; pods of no pool are left
            out.
        wanted: UIDs of the pods that wait for room; ``None`` for all that kube-scheduler found no
            room for.
    """

    at_s: float
    generation: int
    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    budgets: tuple[DisruptionBudget, ...] = ()
    plans: tuple[PlanRecord, ...] = ()
    migrations: Mapping[str, str] = field(default_factory=dict)
    wanted: tuple[str, ...] | None = None

    @property
    def running_plans(self) -> tuple[PlanRecord, ...]:
        """Return the plans that are carried out or about to be."""
        return tuple(record for record in self.plans if is_active(record, self.at_s))


@dataclass(frozen=True, slots=True)
class PlanningParams:
    """How plans are made.

    Args:
        limits: who may be disturbed, and how much.
        work_s: effort of one search, in seconds of one core, about.
        question_s: the same for one question of the explanation.
        workers: solver workers; with one the answer depends on the facts alone.
        seed: seed of the search.
        max_moves_per_plan: most running pods that one search may move or evict.
        min_runtime_s: pods that run for less are not evicted.
        classes: accelerator classes; empty: by the node label that feature discovery writes.
        longest_plan: most moves of one plan, placed pods included.
    """

    limits: PlanParams = field(default_factory=PlanParams)
    work_s: float = 1.0
    question_s: float = 0.1
    workers: int = 1
    seed: int = 0
    max_moves_per_plan: int = 32
    min_runtime_s: float = 0.0
    classes: tuple[AcceleratorClass, ...] = ()
    longest_plan: int = 256

    def class_of(self, node: Node) -> str:
        """Return the name of a node's accelerator class, empty when it has none."""
        for known in self.classes:
            if known.node_selector.items() <= node.labels.items():
                return known.name
        return "" if self.classes else node.labels.get(GPU_PRODUCT_LABEL, "")


def is_active(record: PlanRecord, now_s: float) -> bool:
    """Return whether the plan holds its nodes: it runs, or it will without anybody's word."""
    plan, progress = record.plan, record.progress
    if progress.phase in ENDED or plan.mode != "Auto":
        return False
    if progress.started_s is None:
        return now_s < plan.created_s + plan.ttl_s
    return now_s < progress.started_s + LONGEST_S
