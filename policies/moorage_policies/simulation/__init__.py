"""The stock scheduler in memory, workloads to feed it, and a cluster over time."""

from moorage_policies.simulation.cluster import Arrival, History, Sample, play
from moorage_policies.simulation.extender import Extender, RankingExtender
from moorage_policies.simulation.scheduler import (
    Attempt,
    SchedulerParams,
    StockScheduler,
)
from moorage_policies.simulation.simulate import Result, simulate
from moorage_policies.simulation.workloads import (
    Workload,
    gpu_mix,
    gpu_nodes,
    priority_matters,
    replicas,
)

__all__ = [
    "Arrival",
    "Attempt",
    "Extender",
    "History",
    "RankingExtender",
    "Result",
    "Sample",
    "SchedulerParams",
    "StockScheduler",
    "Workload",
    "gpu_mix",
    "gpu_nodes",
    "play",
    "priority_matters",
    "replicas",
    "simulate",
]
