"""The parameters of the laws, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from moorage_policies.errors import BadInputError


@dataclass(frozen=True, slots=True)
class RatioBand:
    """Replicas of ``numerator`` per one of ``denominator``: from ``low`` to ``high``."""

    numerator: str
    denominator: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RoleParams:
    """One scaled role.

    Args:
        role: its name.
        min_replicas: fewest replicas, 0 to allow none.
        max_replicas: most replicas.
        gpus: accelerators of one replica.
        start_up_s: time from asking for a replica until it serves, as measured.
        service_s: time that one request occupies a replica of a role that serves requests one
            after the other, such as prefill; 0 where many run together.
        wait_s: wait that such a request should not exceed.
        slots: requests that one replica at its target serves together, for the room that their
            random number takes; 0 where they are not counted.
        guard: latency that speaks for the role.
        observe_s: how long a replica that is not needed stays out of the Service and is watched
            before it goes; 0: it goes at once.
    """

    role: str
    min_replicas: int
    max_replicas: int
    gpus: int = 1
    start_up_s: float = 180.0
    service_s: float = 0.0
    wait_s: float = 0.0
    slots: float = 0.0
    guard: str = ""
    observe_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Params:
    """How a pool is scaled.

    Args:
        roles: the scaled roles.
        ratio: band between two of them.
        ttft_target_s: time to the first token to keep, ``None`` for none.
        itl_target_s: time between tokens to keep, ``None`` for none.
        max_gpus: accelerators that the roles may hold together, those going away included.
        standby: replicas kept above the need, per role.
        tick_s: time between two ticks.
        out_ratio: load may exceed what the replicas carry by this part before any is added.
        in_ratio: this part of the load is added before replicas are taken away.
        in_window_s: a replica goes only when it was not needed for this long; at least the start-up
            time is taken, before which stopping and starting again costs more than keeping.
        in_step_ratio: at most this part of the replicas goes at once, one at least.
        cool_down_s: time after adding during which none is taken away.
        idle_s: time without any load after which the roles fall to their bounds.
        quantile_z: standard errors of the forecast that are covered.
        forecasts: whether the load is forecast at the horizon of the start-up time.
        mild_ratio: latency above this many targets adds a tenth of the replicas.
        severe_ratio: latency above this many targets adds a fifth.
        blind_ratio: while blind, at most this part is added per tick, one at least.
        slots_z: standard deviations of the number of requests that run together to have room for.
        burst_memory_s: time in which the room kept for past bursts falls to a third.
        miss_ratio: part of requests that may wait longer than ``wait_s``.
    """

    roles: tuple[RoleParams, ...]
    ratio: RatioBand | None = None
    ttft_target_s: float | None = None
    itl_target_s: float | None = None
    max_gpus: int | None = None
    standby: int = 0
    tick_s: float = 15.0
    out_ratio: float = 0.02
    in_ratio: float = 0.03
    in_window_s: float = 60.0
    in_step_ratio: float = 0.25
    cool_down_s: float = 0.0
    idle_s: float = 300.0
    quantile_z: float = 1.7
    forecasts: bool = True
    mild_ratio: float = 1.1
    severe_ratio: float = 1.2
    blind_ratio: float = 0.1
    slots_z: float = 2.0
    burst_memory_s: float = 3600.0
    miss_ratio: float = 0.001

    def place_of(self, role: str) -> int:
        """Return the place of a role."""
        return next(place for place, r in enumerate(self.roles) if r.role == role)


def check_params(params: Params) -> Params:
    """Return the parameters.

    Raises:
        BadInputError: they contradict each other or are no numbers.
    """
    names = [role.role for role in params.roles]
    if not names or len(set(names)) != len(names):
        raise BadInputError("must name each role once, and at least one", field="bounds")
    for role in params.roles:
        if not 0 <= role.min_replicas <= role.max_replicas:
            raise BadInputError(
                f"asks for {role.min_replicas} to {role.max_replicas} replicas; let minReplicas be "
                "at least 0 and at most maxReplicas",
                field=f"bounds[{role.role}]",
            )
        if role.gpus < 0:
            raise BadInputError("must be at least 0", field=f"bounds[{role.role}].gpus")
    least_gpus = sum(role.min_replicas * role.gpus for role in params.roles)
    if params.max_gpus is not None and params.max_gpus < least_gpus:
        raise BadInputError(
            f"is {params.max_gpus}, but the roles' minReplicas take {least_gpus} accelerators; "
            "raise it or lower minReplicas",
            field="spec.maxGpus",
        )
    if params.ratio is not None:
        _check_ratio(params.ratio, names)
    _check_numbers(params)
    return params


def _check_ratio(band: RatioBand, names: list[str]) -> None:
    if {band.numerator, band.denominator} - set(names) or band.numerator == band.denominator:
        raise BadInputError("must name two different roles with bounds", field="ratio")
    if not (0.0 <= band.low <= band.high and 0.0 < band.high < math.inf):
        raise BadInputError("must have 0 <= min <= max and max above 0", field="ratio")


def _check_numbers(params: Params) -> None:
    owned = [(f.name, getattr(params, f.name)) for f in fields(params)]
    for role in params.roles:
        owned += [(f"bounds[{role.role}].{f.name}", getattr(role, f.name)) for f in fields(role)]
    for name, value in owned:
        if isinstance(value, float) and not (math.isfinite(value) and value >= 0.0):
            raise BadInputError("must be a number that is not negative", field=name)
    if params.tick_s <= 0.0:
        raise BadInputError("must be above 0 seconds", field="tick_s")
    for name in ("ttft_target_s", "itl_target_s"):
        if getattr(params, name) == 0.0:
            raise BadInputError("must be above 0", field=name)
