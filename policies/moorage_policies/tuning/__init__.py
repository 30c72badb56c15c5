"""Weights of scorers tuned on recorded days against what hindsight would have done."""

from moorage_policies.tuning.days import Day, Recorded, cut_by_count, cut_by_time, draw_nodes
from moorage_policies.tuning.fit import (
    BUILT,
    FITTED,
    HINDSIGHT,
    STOCK,
    TUNED,
    Tuning,
    steps,
    tune,
)
from moorage_policies.tuning.hindsight import solve_day

__all__ = [
    "BUILT",
    "FITTED",
    "HINDSIGHT",
    "STOCK",
    "TUNED",
    "Day",
    "Recorded",
    "Tuning",
    "cut_by_count",
    "cut_by_time",
    "draw_nodes",
    "solve_day",
    "steps",
    "tune",
]
