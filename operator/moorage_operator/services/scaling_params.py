"""A pool's spec as parameters of the tick machine and as what its samples are read for."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from statistics import median

from moorage_crds.pool import GPUInferencePool, Role
from moorage_crds.scaling import Scaling
from moorage_operator.signals.profiles import CUSTOM
from moorage_policies.errors import BadInputError
from moorage_policies.scaling import Params, RatioBand, RoleParams, check_params
from moorage_policies.scaling.samples import Signal
from moorage_policies.scaling.schedules import Window, is_open

UNKNOWN_START_UP_S = 180.0
MANUAL_FLOOR_S = 3600.0
LEARNT_STARTS = 20
_SIGNALS: Mapping[str, tuple[str, bool, str]] = {
    "DecodeTokensPerSecond": ("generated_tokens", True, "decode"),
    "PrefillTokensPerSecond": ("prompt_tokens", True, "prefill"),
    "RequestsPerSecond": ("requests", True, "decode"),
    "RunningRequests": ("running", False, "decode"),
    "WaitingRequests": ("waiting", False, "prefill"),
    "KVCacheUtilization": ("kv_ratio", False, "decode"),
}
"""Our quantity, whether its growth counts, and the role that it speaks for."""


class StartUps:
    """How long replicas took to serve, by model and accelerator class."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], dict[str, float]] = {}

    def learn(self, model: str, accelerator_class: str, uid: str, start_up_s: float) -> None:
        """Take note of one pod's start; each pod counts once."""
        held = self._seen.setdefault((model, accelerator_class), {})
        held.setdefault(uid, start_up_s)
        while len(held) > LEARNT_STARTS:
            del held[next(iter(held))]

    def expect_s(self, model: str, accelerator_class: str) -> float:
        """Return the start-up time to reckon with."""
        held = self._seen.get((model, accelerator_class))
        return median(held.values()) if held else UNKNOWN_START_UP_S

    def known(self) -> Mapping[tuple[str, str], float]:
        """Return all that was learnt."""
        return {key: median(held.values()) for key, held in self._seen.items()}


def params_of(
    pool: GPUInferencePool, starts: StartUps, tick_s: float, observe_s: float = 0.0
) -> Params:
    """Return the parameters of a pool that has a target.

    Raises:
        BadInputError: they contradict each other, or a schedule names an unknown time zone.
    """
    scaling = pool.spec.scaling
    assert scaling is not None
    for window in windows_of(scaling):
        is_open(window, 0.0)
    sla, ratio = scaling.sla, scaling.ratio
    roles = {role.name: role for role in pool.spec.roles}
    made = tuple(
        RoleParams(
            bound.role,
            bound.min_replicas,
            bound.max_replicas,
            roles[bound.role].accelerators[0].gpus_per_replica,
            starts.expect_s(pool.spec.model.name, roles[bound.role].accelerators[0].class_),
            guard=_guard_of(pool, roles[bound.role]),
            observe_s=0.0 if _is_grouped(roles[bound.role]) else observe_s,
        )
        for bound in scaling.bounds
    )
    bounded = {bound.role for bound in scaling.bounds}
    band = None
    if ratio is not None and {ratio.numerator, ratio.denominator} <= bounded:
        band = RatioBand(ratio.numerator, ratio.denominator, _number(ratio.min), _number(ratio.max))
    others_gpus = sum(
        (role.replicas if role.replicas is not None else 1) * role.accelerators[0].gpus_per_replica
        for role in pool.spec.roles
        if role.name not in bounded
    )
    limit = pool.spec.max_gpus
    return check_params(
        Params(
            made,
            band,
            ttft_target_s=sla.ttft_ms / 1e3 if sla and sla.ttft_ms else None,
            itl_target_s=sla.itl_ms / 1e3 if sla and sla.itl_ms else None,
            max_gpus=None if limit is None else max(0, limit - others_gpus),
            standby=scaling.standby or 0,
            tick_s=tick_s,
        )
    )


def signal_of(pool: GPUInferencePool, role: str) -> Signal | None:
    """Return what the load of a role is read from, ``None`` when it follows the others."""
    scaling = pool.spec.scaling
    assert scaling is not None
    target = float(scaling.target_value or 1)
    if target <= 0.0:
        raise BadInputError("must be above 0", field="spec.scaling.target")
    name = scaling.signal or "DecodeTokensPerSecond"
    if name == "Custom":
        rate = scaling.metric is not None and scaling.metric.read_as == "Rate"
        quantity, is_rate, speaks_for = CUSTOM, rate, "decode"
    else:
        quantity, is_rate, speaks_for = _SIGNALS[name]
    bounded = [bound.role for bound in scaling.bounds]
    lead = speaks_for if speaks_for in bounded else bounded[0]
    if role == lead:
        return Signal(quantity, is_rate=is_rate, target=target)
    return Signal("prefill_s", is_rate=True, target=1.0) if role == "prefill" else None


def windows_of(scaling: Scaling) -> tuple[Window, ...]:
    """Return the floors of the day."""
    return tuple(
        Window(
            schedule.name,
            schedule.role,
            schedule.min_replicas,
            schedule.timezone,
            tuple(schedule.days_of_week),
            _minutes(schedule.start_time),
            _minutes(schedule.end_time),
        )
        for schedule in scaling.schedules
    )


def manual_floor_s(scaling: Scaling) -> float:
    """Return how long a manual scale holds."""
    said = scaling.manual_floor_seconds
    return MANUAL_FLOOR_S if said is None else float(said)


def _is_grouped(role: Role) -> bool:
    """Return whether a replica has several pods: such sets drop the highest index, no other."""
    return any(option.nodes_per_replica > 1 for option in role.accelerators)


def _guard_of(pool: GPUInferencePool, role: Role) -> str:
    if role.name == "prefill":
        return "ttft"
    sla = pool.spec.scaling.sla if pool.spec.scaling else None
    return "itl" if role.name == "decode" or (sla is not None and sla.itl_ms) else "ttft"


def _number(text: Decimal | str) -> float:
    return float(text)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
