"""Plans as last heard of: what the pools service must add to workloads, what plans compete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from moorage_crds.plan import PlacementPlan
from moorage_crds.plan_records import to_plan_record
from moorage_policies.errors import BadInputError
from moorage_policies.plans import Move, PlanRecord
from moorage_policies.types import Owner

WorkloadKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan as stored.

    Args:
        name: its name.
        uid: its UID.
        resource_version: its revision; larger is newer.
        plan: the whole object.
        record: the plan as decisions see it.
    """

    name: str
    uid: str
    resource_version: int
    plan: PlacementPlan
    record: PlanRecord


def read_plan(body: bytes) -> StoredPlan:
    """Return the plan that the API server answered with.

    Raises:
        BadInputError: the stored object does not have the shape of a plan.
    """
    plan = PlacementPlan.read(msgspec.json.decode(body))
    meta = plan.metadata
    version = int(meta.resource_version or 0)
    return StoredPlan(meta.name, meta.uid, version, plan, to_plan_record(plan))


def workload_of(namespace: str, owner: Owner | None) -> WorkloadKey | None:
    """Return the Deployment above a ReplicaSet, which is named ``<Deployment>-<hash>``."""
    if owner is None or owner.kind != "ReplicaSet":
        return None
    name, dash, _hash = owner.name.rpartition("-")
    return (namespace, name) if dash else None


class PlanBook:
    """Every plan there is.

    Args:
        wake: called with the name of a plan that changed.
        wake_workload: called with namespace and name of a Deployment whose surge changed.
    """

    def __init__(
        self, wake: Callable[[str], None], wake_workload: Callable[[str, str], None]
    ) -> None:
        self._wake = wake
        self._wake_workload = wake_workload
        self._plans: dict[str, StoredPlan] = {}
        self._surges: Counter[WorkloadKey] = Counter()

    def __len__(self) -> int:
        return len(self._plans)

    def records(self) -> tuple[PlanRecord, ...]:
        """Return all plans."""
        return tuple(stored.record for stored in self._plans.values())

    def stored(self) -> tuple[StoredPlan, ...]:
        """Return all plans with their objects."""
        return tuple(self._plans.values())

    def surges_in(self, namespace: str) -> Mapping[str, int]:
        """Return the replicas that running plans add, by name of the Deployment."""
        return {name: count for (home, name), count in self._surges.items() if home == namespace}

    def note(self, event: str, body: bytes) -> None:
        """Take note of a plan as the watch shows it; one that cannot be read is left alone."""
        try:
            stored = read_plan(body)
        except BadInputError:
            return
        if event == "DELETED":
            self.drop(stored.name, stored.uid)
        else:
            self.put(stored)

    def take_list(self, bodies: Iterable[bytes]) -> None:
        """Take a whole list: plans that it does not name are gone."""
        listed = set()
        for body in bodies:
            try:
                stored = read_plan(body)
            except BadInputError:
                continue
            listed.add(stored.uid)
            self.put(stored)
        for known in tuple(self._plans.values()):
            if known.uid not in listed:
                self.drop(known.name, known.uid)

    def put(self, stored: StoredPlan, *, wake: bool = True) -> None:
        """Take note of a plan; an older revision of the same plan is ignored."""
        old = self._plans.get(stored.name)
        if old and old.uid == stored.uid and stored.resource_version <= old.resource_version:
            return
        self._plans[stored.name] = stored
        self._count_surges()
        if wake:
            self._wake(stored.name)

    def drop(self, name: str, uid: str) -> None:
        """Forget a plan that is gone, unless another of its name took its place."""
        held = self._plans.get(name)
        if held is not None and held.uid == uid:
            del self._plans[name]
            self._count_surges()

    def _count_surges(self) -> None:
        now: Counter[WorkloadKey] = Counter()
        for stored in self._plans.values():
            now.update(_surging(stored.record))
        changed = [key for key in now.keys() | self._surges.keys() if now[key] != self._surges[key]]
        self._surges = now
        for namespace, name in changed:
            self._wake_workload(namespace, name)


def _surging(record: PlanRecord) -> list[WorkloadKey]:
    """Return the Deployments that the plan has raised by one, once for each of its moves."""
    if record.progress.phase != "Executing":
        return []
    keys = (
        _key(move)
        for move, progress in record.pairs()
        if move.surges and progress.phase == "Surging"
    )
    return [key for key in keys if key is not None]


def _key(move: Move) -> WorkloadKey | None:
    return workload_of(move.namespace, move.owner)
