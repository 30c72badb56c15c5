"""Preemption: whom to evict so that a pod fits, and when to evict nobody yet."""

from moorage_policies.preemption.protection import OPT_OUT_ANNOTATION, Protection
from moorage_policies.preemption.search import Harm
from moorage_policies.preemption.victims import PlannerWord, Victims, choose_victims
from moorage_policies.preemption.weighing import PreemptionParams

__all__ = [
    "OPT_OUT_ANNOTATION",
    "Harm",
    "PlannerWord",
    "PreemptionParams",
    "Protection",
    "Victims",
    "choose_victims",
]
