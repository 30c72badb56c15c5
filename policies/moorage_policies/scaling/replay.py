"""A decision with all that it was made from, so that it can be made again."""

from __future__ import annotations

from dataclasses import dataclass

from moorage_policies.scaling.observation import Observation
from moorage_policies.scaling.params import Params
from moorage_policies.scaling.reach import RoleReach, settle
from moorage_policies.scaling.state import State
from moorage_policies.scaling.step import step
from moorage_policies.scaling.targets import Targets


@dataclass(frozen=True, slots=True)
class Record:
    """One tick of one pool.

    Args:
        state: what was remembered before it.
        observation: what was seen.
        params: the parameters.
        reach: what was found to fit, by place of the role; empty when nothing was asked.
        targets: what was decided.
        reason: why.
    """

    state: State
    observation: Observation
    params: Params
    reach: tuple[RoleReach, ...]
    targets: Targets
    reason: str


def replay(record: Record) -> Record:
    """Return the record of the same tick, decided anew; equal to the given one."""
    _, decision = step(record.state, record.observation, record.params)
    settled = settle(decision, record.reach, record.params, record.observation)
    return Record(
        record.state,
        record.observation,
        record.params,
        record.reach,
        settled.value,
        settled.reason,
    )
