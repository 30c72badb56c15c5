"""How a pool's replica counts follow its load."""

from __future__ import annotations

from decimal import Decimal as Number
from typing import Annotated, Literal

from pydantic import Field

from moorage_crds.base import Model, Rule, with_rules
from moorage_crds.fields import MAX_REPLICAS, MAX_ROLES, Decimal, Replicas, RoleName, list_map
from moorage_crds.windows import NOT_EMPTY_WINDOW, TimeWindow

Signal = Literal[
    "DecodeTokensPerSecond",
    "PrefillTokensPerSecond",
    "RequestsPerSecond",
    "RunningRequests",
    "WaitingRequests",
    "KVCacheUtilization",
    "Custom",
]

OF_A_TARGET = ("signal", "metric", "ratio", "sla", "schedules", "standby")
"""What says nothing without a target: in mode External nobody would work a count out."""


class Ratio(Model):
    """A band in which replicas of one role per replica of another must stay."""

    model_config = with_rules(
        Rule(
            "double(self.min) <= double(self.max)",
            "must be at most max; lower it or raise max",
            ".min",
        ),
        Rule("double(self.max) > 0.0", "must be above 0; raise it", ".max"),
        Rule(
            "self.numerator != self.denominator",
            "must name another role than numerator",
            ".denominator",
        ),
    )

    numerator: RoleName
    """Role whose replicas are counted above the line, usually prefill."""
    denominator: RoleName
    """Role whose replicas are counted below the line, usually decode."""
    min: Decimal
    """Smallest ratio, a decimal number as a string, for example "0.25"."""
    max: Decimal
    """Largest ratio, a decimal number as a string, for example "0.5"."""


class ServiceLevel(Model):
    """Latencies that guard against scaling in, and force scaling out when missed."""

    model_config = with_rules(
        Rule("has(self.ttftMs) || has(self.itlMs)", "is empty; set ttftMs, itlMs or both"),
    )

    ttft_ms: Annotated[int, Field(ge=1, le=3_600_000)] | None = None
    """Time to the first token, milliseconds, 95th percentile."""
    itl_ms: Annotated[int, Field(ge=1, le=3_600_000)] | None = None
    """Time between tokens, milliseconds, 95th percentile."""


class Bounds(Model):
    """How few and how many replicas a role may have."""

    model_config = with_rules(
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "must be at most maxReplicas; lower it or raise maxReplicas",
            ".minReplicas",
        ),
    )

    role: RoleName
    """Name of a role of this pool."""
    min_replicas: Replicas = 1
    """Fewest replicas that scaling may ask for."""
    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)]
    """Most replicas that scaling may ask for, not counting the extra replica of a running move."""


class Schedule(TimeWindow):
    """A floor under a role's replicas while a window of the day is open."""

    model_config = with_rules(NOT_EMPTY_WINDOW)

    name: Annotated[str, Field(min_length=1, max_length=40)]
    """Name of the schedule, for status and logs."""
    role: RoleName
    """Role whose floor is raised; it must have bounds."""
    min_replicas: Replicas
    """Fewest replicas while the window is open."""


class CustomMetric(Model):
    """Where signal Custom is read from each pod's metrics endpoint."""

    name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
    """Name of the metric as the pods expose it."""
    read_as: Literal["Gauge", "Rate"] = "Gauge"
    """Gauge: its value per pod. Rate: its growth per second per pod."""


class Scaling(Model):
    """How replica counts follow load; leave it out to keep them fixed."""

    model_config = with_rules(
        *(
            Rule(
                f"self.mode != 'External' || has(self.target) || !has(self.{name})",
                "needs a target in mode External; set target to have counts worked out and shown, "
                "or remove it",
                f".{name}",
            )
            for name in OF_A_TARGET
        ),
        Rule(
            "self.mode != 'External' || !has(self.manualFloorSeconds)",
            "is for mode Internal only; remove it or set mode to Internal",
            ".manualFloorSeconds",
        ),
        Rule(
            "self.mode != 'Internal' || has(self.target)",
            "is needed in mode Internal: say how much of the signal one replica should carry, "
            'for example "1800"',
            ".target",
        ),
        Rule(
            "!has(self.target) || double(self.target) > 0.0",
            'must be above 0; write the load that one replica should carry, for example "1800"',
            ".target",
        ),
        Rule(
            "(has(self.signal) && self.signal == 'Custom') == has(self.metric)",
            "goes with signal Custom, and only with it; add the metric's name or change the signal",
            ".metric",
        ),
        Rule(
            "!has(self.ratio) || self.bounds.all(n, n.role != self.ratio.numerator || "
            "self.bounds.all(d, d.role != self.ratio.denominator || "
            "(double(n.minReplicas) <= double(self.ratio.max) * double(d.maxReplicas) && "
            "double(n.maxReplicas) >= double(self.ratio.min) * double(d.minReplicas))))",
            "cannot be kept by any counts within bounds; widen the ratio or the roles' bounds",
            ".ratio",
        ),
        Rule(
            "!has(self.schedules) || "
            "self.schedules.all(s, self.bounds.exists(b, b.role == s.role))",
            "names a role without bounds; add the role to bounds or correct the name",
            ".schedules",
        ),
        Rule(
            "!has(self.schedules) || self.schedules.all(s, "
            "self.bounds.all(b, b.role != s.role || s.minReplicas <= b.maxReplicas))",
            "asks for more replicas than the role's maxReplicas; lower minReplicas of the schedule "
            "or raise maxReplicas in bounds",
            ".schedules",
        ),
    )

    mode: Literal["Internal", "External"] = "Internal"
    """Internal: Moorage decides the counts. External: an HPA, KEDA or a person does, through the
    scale subresource of the pool's GPUInferenceRole objects; with a target the counts that Moorage
    would ask for are shown in the status and as a metric."""
    signal: Signal | None = None
    """What is measured; absent: DecodeTokensPerSecond. Per replica and second for the PerSecond
    signals, requests per replica for RunningRequests and WaitingRequests, 0 to 1 for
    KVCacheUtilization, and the named metric for Custom."""
    target: int | Decimal | None = Field(
        default=None, json_schema_extra={"x-kubernetes-int-or-string": True}
    )
    """How much of the signal one replica should carry, a number or a decimal string."""
    metric: CustomMetric | None = None
    """The metric behind signal Custom."""
    ratio: Ratio | None = None
    """Band for the ratio between two roles, such as prefill to decode."""
    sla: ServiceLevel | None = None
    """Latencies to keep."""
    bounds: Annotated[
        tuple[Bounds, ...],
        Field(min_length=1, max_length=MAX_ROLES, json_schema_extra=list_map("role")),
    ]
    """Roles that are scaled, and between which counts; other roles keep their replicas."""
    schedules: Annotated[
        tuple[Schedule, ...], Field(max_length=16, json_schema_extra=list_map("name"))
    ] = ()
    """Floors for times of the day."""
    standby: Annotated[int, Field(ge=0, le=100)] | None = None
    """Warm spare replicas per scaled role, above what the signal asks for; absent: 0."""
    on_unplaceable: Literal["Hold", "Pending"] = "Hold"
    """Hold: ask only for replicas that fit on the cluster. Pending: ask for all of them, so that a
    node autoscaler sees pods waiting."""
    manual_floor_seconds: Annotated[int, Field(ge=0, le=604_800)] | None = None
    """How long a manual scale of a role holds as a floor, seconds; absent: 3600."""

    @property
    def target_value(self) -> Number | None:
        """Return the target as a number."""
        return None if self.target is None else Number(self.target)
