"""Plans as the watch tells them, and the room that they keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from moorage_crds.objects import ObjectMeta, Wire
from moorage_crds.plan import PlacementPlan
from moorage_crds.plan_records import to_plan_record
from moorage_policies.errors import BadInputError
from moorage_policies.plans import PlanRecord
from moorage_policies.plans.slots import Slot, open_slots
from moorage_policies.ports import Clock
from moorage_policies.state import Snapshot
from moorage_policies.types import Pod


class PlanObject(Wire):
    """A PlacementPlan whose parts are read by its model."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    status: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))


class KeptRoom:
    """The places that running plans keep, rebuilt from the plans alone after a restart.

    Args:
        wall_clock: Unix seconds.
    """

    __slots__ = ("_requests", "_slots", "_wall_clock", "plans")

    def __init__(self, wall_clock: Clock) -> None:
        self._wall_clock = wall_clock
        self.plans: dict[str, PlanRecord] = {}
        self._slots: tuple[Slot, ...] = ()
        self._requests: dict[str, dict[str, int]] = {}

    def replace(self, items: Iterable[PlanObject]) -> None:
        """Take over all plans there are."""
        read = (_read(item) for item in items)
        self.plans = {record.plan.name: record for record in read if record is not None}
        self.refresh()

    def put(self, item: PlanObject) -> None:
        """Take over a plan; one that cannot be read keeps no room."""
        record = _read(item)
        if record is None:
            self.drop(item)
            return
        self.plans[record.plan.name] = record
        self.refresh()

    def drop(self, item: PlanObject) -> None:
        """Forget a plan that is gone."""
        self.plans.pop(item.metadata.name, None)
        self.refresh()

    def refresh(self) -> None:
        """Give back what plans have kept for too long."""
        self._slots = open_slots(self.plans.values(), self._wall_clock())
        uids = {slot.move.uid for slot in self._slots}
        self._requests = {uid: held for uid, held in self._requests.items() if uid in uids}

    def slots(self, snapshot: Snapshot) -> tuple[Slot, ...]:
        """Return the places kept now, as large as the pods that they are kept for."""
        return tuple(self._sized(slot, snapshot) for slot in self._slots)

    def _sized(self, slot: Slot, snapshot: Snapshot) -> Slot:
        uid = slot.move.uid
        if uid not in self._requests:
            pod = snapshot.pending.get(uid) or _find(uid, slot.move.source, snapshot)
            if pod is None:
                return slot  # the plan itself tells the accelerators at least
            self._requests[uid] = dict(pod.requests)
        return replace(slot, requests=self._requests[uid])


def _find(uid: str, node: str, snapshot: Snapshot) -> Pod | None:
    row = snapshot.node_index.get(node)
    if row is None:
        return None
    return next((pod for pod in snapshot.pods_on(row) if pod.uid == uid), None)


def _read(item: PlanObject) -> PlanRecord | None:
    meta = item.metadata
    created = meta.creation_timestamp
    body = {
        "metadata": {
            "name": meta.name,
            "uid": meta.uid,
            "creationTimestamp": created.isoformat() if created is not None else None,
        },
        "spec": msgspec.json.decode(item.spec),
        "status": msgspec.json.decode(item.status),
    }
    try:
        return to_plan_record(PlacementPlan.read(body))
    except BadInputError:
        return None
