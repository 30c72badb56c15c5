"""The policy and the pools' wishes about moving, as the watch tells them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from moorage_crds.objects import ObjectMeta, Wire
from moorage_crds.planning import Migrations
from moorage_crds.policy import POLICY_NAME, PlacementPolicy, PolicySpec
from moorage_extender.hints import PoolObject
from moorage_policies.errors import BadInputError

BUILT_IN = PolicySpec()


class PolicyObject(Wire):
    """A PlacementPolicy whose spec is read by its model."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))


class PolicyBook:
    """The cluster's policy, the built-in one while there is none that can be read."""

    __slots__ = ("spec", "version")

    def __init__(self) -> None:
        self.spec = BUILT_IN
        self.version = 0

    def replace(self, items: Iterable[PolicyObject]) -> None:
        """Take over all policies there are, of which one counts."""
        self._set(BUILT_IN)
        for item in items:
            self.put(item)

    def put(self, item: PolicyObject) -> None:
        """Take over a policy; one that cannot be read changes nothing."""
        if item.metadata.name != POLICY_NAME:
            return
        try:
            body = {"metadata": {"name": POLICY_NAME}, "spec": msgspec.json.decode(item.spec)}
            self._set(PlacementPolicy.read(body).spec)
        except BadInputError:
            return

    def drop(self, item: PolicyObject) -> None:
        """Forget the policy that is gone."""
        if item.metadata.name == POLICY_NAME:
            self._set(BUILT_IN)

    def _set(self, spec: PolicySpec) -> None:
        if spec != self.spec:
            self.spec = spec
            self.version += 1


class MigrationBook:
    """How each pool lets its replicas be moved."""

    __slots__ = ("_by_pool",)

    def __init__(self) -> None:
        self._by_pool: dict[tuple[str, str], Migrations] = {}

    def replace(self, items: Iterable[PoolObject]) -> None:
        """Take over all pools there are."""
        self._by_pool = {}
        for item in items:
            self.put(item)

    def put(self, item: PoolObject) -> None:
        """Take over a pool."""
        meta, spec = item.metadata, item.spec
        self._by_pool[meta.namespace, meta.name] = {
            (meta.namespace, meta.name, role.name, accelerator.class_): _strategy(
                spec.actuation,
                role.migration.strategy if role.migration is not None else "",
                accelerator.nodes_per_replica,
            )
            for role in spec.roles
            for accelerator in role.accelerators
        }

    def drop(self, item: PoolObject) -> None:
        """Forget a pool that is gone."""
        self._by_pool.pop((item.metadata.namespace, item.metadata.name), None)

    def all(self) -> Migrations:
        """Return how replicas may be moved, by namespace, pool, role and class."""
        return {key: way for known in self._by_pool.values() for key, way in known.items()}


def _strategy(actuation: str, asked: str, nodes_per_replica: int) -> str:
    if actuation != "Auto":
        return "Never"
    return asked or ("SurgeFirst" if nodes_per_replica == 1 else "EvictFirst")
