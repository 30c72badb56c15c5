"""How plans are carried out: what is next, what may be touched, which room is kept."""

from moorage_policies.plans.budgets import disruptions, rivals_of
from moorage_policies.plans.checks import (
    DELETION_COST_ANNOTATION,
    MARK,
    MOVABLE_ANNOTATION,
    is_marked,
    why_protected,
)
from moorage_policies.plans.machine import decide
from moorage_policies.plans.moving import EvictionAnswer, after_eviction
from moorage_policies.plans.observation import (
    Action,
    Evict,
    Mark,
    Observation,
    PastMove,
    PlanParams,
    Record,
    Unmark,
    Wait,
    Workload,
)
from moorage_policies.plans.order import Way, order_moves
from moorage_policies.plans.records import (
    Move,
    MoveProgress,
    Plan,
    PlanProgress,
    PlanRecord,
    join_stages,
)

__all__ = [
    "DELETION_COST_ANNOTATION",
    "MARK",
    "MOVABLE_ANNOTATION",
    "Action",
    "Evict",
    "EvictionAnswer",
    "Mark",
    "Move",
    "MoveProgress",
    "Observation",
    "PastMove",
    "Plan",
    "PlanParams",
    "PlanProgress",
    "PlanRecord",
    "Record",
    "Unmark",
    "Wait",
    "Way",
    "Workload",
    "after_eviction",
    "decide",
    "disruptions",
    "is_marked",
    "join_stages",
    "order_moves",
    "rivals_of",
    "why_protected",
]
