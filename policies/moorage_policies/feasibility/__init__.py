"""Where a pod may go, as kube-scheduler's filters decide it, with the reason per node."""

from moorage_policies.feasibility.domains import (
    DomainCounts,
    Verdict,
    count_by_node,
    count_domains,
)
from moorage_policies.feasibility.filters import Feasibility, Refusal, feasible_nodes
from moorage_policies.feasibility.node_filters import (
    affinity_mask,
    requirement_mask,
    taints_mask,
    term_mask,
    uncordoned_mask,
)
from moorage_policies.feasibility.spread import counted_domains, counts_towards
from moorage_policies.feasibility.trial import Trial, Trials

__all__ = [
    "DomainCounts",
    "Feasibility",
    "Refusal",
    "Trial",
    "Trials",
    "Verdict",
    "affinity_mask",
    "count_by_node",
    "count_domains",
    "counted_domains",
    "counts_towards",
    "feasible_nodes",
    "requirement_mask",
    "taints_mask",
    "term_mask",
    "uncordoned_mask",
]
