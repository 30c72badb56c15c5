"""The parts of a policy that say how much running pods may be disturbed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from moorage_crds.base import Model, Rule, with_rules
from moorage_crds.fields import (
    LIST_SET,
    Actuation,
    Percent,
    Priority,
    Seconds,
    Weight,
    list_map,
)
from moorage_crds.windows import TimeWindow, Timezone

Namespace = Annotated[str, Field(min_length=1, max_length=63)]


class Disruption(Model):
    """How much running pods may be disturbed, on top of PodDisruptionBudgets."""

    max_moves: Annotated[int, Field(ge=0, le=10_000)] = 20
    """Most pods moved or evicted within windowSeconds."""
    window_seconds: Annotated[int, Field(ge=1, le=604_800)] = 3600
    """Length of the sliding window, seconds."""
    max_moves_per_owner: Annotated[int, Field(ge=0, le=10_000)] = 5
    """Most pods of one workload moved or evicted within windowSeconds."""
    max_parallel_moves: Annotated[int, Field(ge=1, le=100)] = 1
    """Most moves under way at a time."""
    pod_cool_down_seconds: Seconds = 1800
    """Seconds for which a moved pod's replacement is left alone."""
    owner_cool_down_seconds: Seconds = 60
    """Seconds between two moves of one workload."""
    protected_namespaces: Annotated[
        tuple[Namespace, ...], Field(max_length=64, json_schema_extra=LIST_SET)
    ] = ("kube-system",)
    """Namespaces whose pods are never moved nor evicted by a plan."""
    protected_priority: Priority = 2_000_000_000
    """Pods of this priority and above are never moved nor evicted by a plan."""


class Preemption(Model):
    """Evictions in favour of higher priorities."""

    delay_seconds: Annotated[int, Field(ge=0, le=3600)] = 3
    """Seconds after a pod's first failure during which no victim is chosen, so that a plan with
    fewer of them can be found."""
    min_runtime_seconds: Seconds = 0
    """Seconds that a pod runs before it can become a victim."""
    same_tier_eviction: Literal["Deny", "Allow"] = "Deny"
    """Deny: a running pod ends unplaced only for a pod of higher priority. Allow: also for more
    pods of its own priority."""


class CronSchedule(Model):
    """A time that recurs, and for how long moves may begin from then on."""

    cron: Annotated[
        str,
        Field(
            max_length=128,
            pattern=r"^\S+\s+\S+\s+\S+\s+\S+\s+\S+$",
        ),
    ]
    """Minute, hour, day of month, month and day of week, as cron reads them: "0 2 * * 6"."""
    timezone: Timezone = "Etc/UTC"
    """IANA time zone in which it is meant, for example Europe/Berlin."""
    duration_seconds: Annotated[int, Field(ge=60, le=604_800)] = 3600
    """Seconds for which plans may begin after each of these times."""


class WantedHole(Model):
    """A number of accelerators that is needed in one piece."""

    gpus: Annotated[int, Field(ge=1, le=1024)]
    """Accelerators."""
    weight: Weight = 1
    """How much such a hole counts beside others."""


class Defragmentation(Model):
    """Moves that bring scattered free accelerators together."""

    model_config = with_rules(
        Rule(
            "self.trigger != 'Schedule' || (has(self.windows) && self.windows.size() > 0) || "
            "(has(self.schedules) && self.schedules.size() > 0)",
            "are needed with trigger Schedule; add a window, or schedules with cron",
            ".windows",
        ),
        Rule(
            "(self.trigger == 'Threshold') == has(self.thresholdPercent)",
            "goes with trigger Threshold, and only with it",
            ".thresholdPercent",
        ),
    )

    trigger: Literal["Pending", "Schedule", "Threshold", "NoHole"] = "Pending"
    """Pending: a pod waits though enough accelerators are free. Schedule: when a window or schedule
    opens. Threshold: the stranded share passes thresholdPercent. NoHole: the next replica of some
    pool would find no room though enough accelerators are free."""
    objective: Literal["FragmentRate", "WholeNodes", "TopologyDomains"] = "FragmentRate"
    """FragmentRate: as few free accelerators as possible outside of holes. WholeNodes: whole nodes
    without GPU pods. TopologyDomains: whole domains of the innermost topology level."""
    holes: Annotated[
        tuple[WantedHole, ...], Field(max_length=16, json_schema_extra=list_map("gpus"))
    ] = ()
    """Holes that count for FragmentRate; empty: the largest replica of each pool."""
    threshold_percent: Percent | None = None
    """Share of free accelerators that are stranded, percent."""
    windows: Annotated[tuple[TimeWindow, ...], Field(max_length=16)] = ()
    """When moves may happen; empty: at any time, or as schedules say."""
    schedules: Annotated[tuple[CronSchedule, ...], Field(max_length=16)] = ()
    """When moves may happen, by cron; open where any window or schedule is."""
    max_moves: Annotated[int, Field(ge=1, le=256)] = 10
    """Most moves of one plan."""
    min_gain_gpus: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Fewest accelerators in whole holes that one move of usual cost must free; a move that costs
    twice as much must free twice as many."""
    cool_down_seconds: Seconds = 600
    """Seconds between the end of one such plan and the next."""
    exempt_namespaces: Annotated[
        tuple[Namespace, ...], Field(max_length=64, json_schema_extra=LIST_SET)
    ] = ()
    """Namespaces whose pods are not moved for this; one pod says moorage.dev/movable: "false"."""
    search_seconds: Annotated[int, Field(ge=1, le=120)] = 5
    """Seconds of search for one plan."""
    actuation: Actuation = "Recommend"
    """Auto: plans are carried out. Recommend: they are only proposed. Off: none are made."""
