"""One pool's tick on its way from what was read to what is written."""

from __future__ import annotations

from dataclasses import dataclass, field

from moorage_crds.pool import GPUInferencePool
from moorage_operator.services.facts import PoolFacts
from moorage_operator.services.pool_pods import PoolKey
from moorage_operator.services.scaling_note import ManualFloor
from moorage_operator.services.scaling_reading import SampleBook, WriterBook
from moorage_policies.scaling import Observation, Params, State, Targets
from moorage_policies.scaling.reach import RoleReach
from moorage_policies.types import Decision


@dataclass(slots=True)
class PoolMemory:
    """What is remembered of one pool between ticks."""

    generation: int
    spec: GPUInferencePool
    state: State
    book: SampleBook = field(default_factory=SampleBook)
    writers: WriterBook = field(default_factory=WriterBook)


@dataclass(slots=True)
class Turn:
    """One pool's tick on its way."""

    key: PoolKey
    pool: GPUInferencePool
    facts: PoolFacts
    params: Params
    memory: PoolMemory
    before: State
    observation: Observation
    decision: Decision[Targets]
    blind: dict[str, str]
    floors: dict[str, ManualFloor]
    second_writer: str
    priority: int
    reach: tuple[RoleReach, ...] = ()

    @property
    def acts(self) -> bool:
        """Return whether counts may be written."""
        may = self.pool.spec.actuation == "Auto" and not is_external(self.pool)
        return may and not self.second_writer


def is_external(pool: GPUInferencePool) -> bool:
    """Return whether somebody else writes the counts, and ours are shown only."""
    return pool.spec.scaling is not None and pool.spec.scaling.mode == "External"
