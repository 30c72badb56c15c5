"""What a tick sees of a pool: samples of its pods, counts, floors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from moorage_crds.names import FIELD_MANAGER, ROLE_LABEL, ROLES, role_object_name
from moorage_crds.objects import Wire
from moorage_crds.pool import GPUInferencePool, Role
from moorage_crds.role import RoleObjectStatus
from moorage_operator.children import Child
from moorage_operator.manifests.names import LWS_WORKER_INDEX_LABEL
from moorage_operator.services.facts import PoolFacts
from moorage_operator.services.pod_places import PodPlace
from moorage_operator.services.replicas import count_replicas
from moorage_operator.services.scaling_note import ManualFloor
from moorage_operator.services.scaling_params import manual_floor_s, signal_of, windows_of
from moorage_operator.signals.scrape import Endpoint
from moorage_policies.scaling import Observation, Params, RoleReading
from moorage_policies.scaling.samples import PodSample, RoleFacts, read_role
from moorage_policies.scaling.schedules import open_floor
from moorage_policies.types import Pod

AUTOSCALERS = frozenset({"kube-controller-manager", "keda-operator", "horizontal-pod-autoscaler"})


class _Entry(Wire):
    manager: str = ""
    time: datetime | None = None
    fields_v1: dict[str, object] = msgspec.field(default_factory=dict, name="fieldsV1")


class _Meta(Wire):
    managed_fields: tuple[_Entry, ...] = ()


class _RoleObject(Wire):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    status: dict[str, object] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Writer:
    """Who else wrote a role's count, and when."""

    name: str
    at_s: float


WRITERS_S = 600.0
"""Two who both wrote a count within this time work against each other."""


@dataclass(slots=True)
class WriterBook:
    """Who wrote the counts of a pool's roles lately, besides the operator.

    A role object tells the last one only: each takes the field from the other.
    """

    seen: dict[str, dict[str, float]] = field(default_factory=dict)

    def see(self, role: str, writer: Writer | None, now_s: float) -> str:
        """Take note of a role's last writer; return who else writes it, empty when nobody does."""
        known = self.seen.setdefault(role, {})
        if writer is not None:
            known[writer.name] = writer.at_s
        for name in [n for n, at_s in known.items() if now_s - at_s > WRITERS_S]:
            del known[name]
        if len(known) < 2:  # noqa: PLR2004 - it takes two
            return ""
        return f"{' and '.join(sorted(known))} both write the count of role {role}"


@dataclass(slots=True)
class SampleBook:
    """The last two samples of each pod of a pool."""

    pairs: dict[str, tuple[PodSample, PodSample]] = field(default_factory=dict)

    def take(self, samples: Mapping[str, PodSample], living: frozenset[str]) -> None:
        """Take new samples; pods that are gone are forgotten by their UID."""
        for uid in [uid for uid in self.pairs if uid not in living]:
            del self.pairs[uid]
        for uid, sample in samples.items():
            before = self.pairs.get(uid)
            last = before[1] if before else sample
            if before and sample.at_s <= last.at_s:
                continue  # Prometheus has nothing newer yet
            same = (last.values, last.buckets) == (sample.values, sample.buckets)
            changed_s = last.changed_s if before and same else sample.at_s
            self.pairs[uid] = (last, replace(sample, changed_s=changed_s))


def serving_endpoints(
    facts: PoolFacts, places: Mapping[str, PodPlace], roles: frozenset[str], warm_s: float
) -> tuple[Endpoint, ...]:
    """Return where pods can be read: ready, staying, not too young, the first of a group."""
    found = []
    for pod in facts.pods:
        place = places.get(pod.uid)
        if place is None or place.endpoint is None or not _serves(pod, place, facts.now_s, warm_s):
            continue
        if pod.labels.get(ROLE_LABEL) in roles:
            found.append(place.endpoint)
    return tuple(found)


def observe(
    pool: GPUInferencePool,
    facts: PoolFacts,
    params: Params,
    book: SampleBook,
    floors: Mapping[str, ManualFloor],
    *,
    stale_s: float,
    grown_up: frozenset[str],
    resting: Mapping[str, float],
) -> tuple[Observation, dict[str, str]]:
    """Return what is seen of the pool, and why roles are blind, by role.

    Args:
        pool: the pool.
        facts: what is known of it.
        params: of its scaling.
        book: samples of its pods.
        floors: floors that people left.
        stale_s: age above which a sample does not count.
        grown_up: pods that should have two samples by now, by UID.
        resting: since when pods are out of the Service, by UID.
    """
    roles = {role.name: role for role in pool.spec.roles}
    readings: list[RoleReading] = []
    blind: dict[str, str] = {}
    for role in params.roles:
        seen, why = _read(
            pool, roles[role.role], facts, params, role.guard, book, stale_s, grown_up, resting
        )
        readings.append(seen)
        if why:
            blind[role.role] = why
    scaling = pool.spec.scaling
    assert scaling is not None
    windows = windows_of(scaling)
    lows = tuple(
        max(
            open_floor(windows, role.role, facts.now_s, role.start_up_s),
            floors[role.role].replicas if role.role in floors else 0,
        )
        for role in params.roles
    )
    return Observation(facts.now_s, tuple(readings), lows), blind


def role_child(pool: GPUInferencePool, role: str, facts: PoolFacts) -> Child | None:
    """Return the role object, ``None`` while there is none of this pool's."""
    child = facts.children.get((ROLES.kind, role_object_name(pool.metadata.name, role)))
    return child if child is not None and child.is_owned_by(pool.metadata.uid) else None


def find_writer(child: Child) -> Writer | None:
    """Return who else owns the count of a role object: the last who scaled it by hand."""
    item = msgspec.json.decode(child.proof, type=_RoleObject)
    found = None
    for entry in item.metadata.managed_fields:
        spec = entry.fields_v1.get("f:spec")
        if entry.manager == FIELD_MANAGER or not isinstance(spec, dict):
            continue
        if "f:replicas" in spec and entry.time is not None:
            at_s = entry.time.timestamp()
            if found is None or at_s > found.at_s:
                found = Writer(entry.manager, at_s)
    return found


def find_floor(pool: GPUInferencePool, child: Child, now_s: float) -> ManualFloor | None:
    """Return the floor that a manual scale left and that still holds."""
    scaling = pool.spec.scaling
    assert scaling is not None
    writer = find_writer(child)
    if writer is not None and writer.name not in AUTOSCALERS:
        until_s = writer.at_s + manual_floor_s(scaling)
        return ManualFloor(child.replicas, until_s) if until_s > now_s else None
    item = msgspec.json.decode(child.proof, type=_RoleObject)
    said = RoleObjectStatus.read(item.status).manual_floor
    if said is None:
        return None
    until_s = datetime.fromisoformat(said.until).timestamp()
    return ManualFloor(said.replicas, until_s) if until_s > now_s else None


def _read(
    pool: GPUInferencePool,
    role: Role,
    facts: PoolFacts,
    params: Params,
    guard: str,
    book: SampleBook,
    stale_s: float,
    grown_up: frozenset[str],
    resting: Mapping[str, float],
) -> tuple[RoleReading, str]:
    child = role_child(pool, role.name, facts)
    counts = [
        count_replicas(
            facts.pods_of(role.name, option.class_),
            option.nodes_per_replica,
            now_s=facts.now_s,
            patience_s=facts.patience_s,
        )
        for option in role.accelerators
    ]
    pods = facts.pods_of(role.name)
    pairs = [book.pairs[pod.uid] for pod in pods if pod.uid in book.pairs and pod.ready]
    ready = sum(count.ready for count in counts)
    known = RoleFacts(
        role.name,
        child.replicas if child else ready,
        ready,
        sum(pod.terminating for pod in pods),
        signal_of(pool, role.name),
        guard,
        params.ttft_target_s,
        params.itl_target_s,
        sum(pod.uid in grown_up for pod in pods),
        tuple(sorted(resting[p.uid] for p in pods if p.uid in resting and not p.terminating)),
    )
    return read_role(known, pairs, facts.now_s, stale_s=stale_s)


def _serves(pod: Pod, place: PodPlace, now_s: float, warm_s: float) -> bool:
    warm = place.ready_s is not None and now_s - place.ready_s >= warm_s
    first = pod.labels.get(LWS_WORKER_INDEX_LABEL, "0") == "0"
    return pod.ready and not pod.terminating and warm and first
