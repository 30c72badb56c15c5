"""The other arms of the ``operator`` protocol, each a process under the operator's account.

Run as a program: ``python -m moorage_benchmarks.operator_peers NAME``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any, cast

import kopf
import msgspec

from moorage_cli.control_plane import ControlPlane
from moorage_cli.control_plane.processes import ProcessGroup
from moorage_cluster.credentials import find_credentials
from moorage_cluster.reflector import Reflector
from moorage_cluster.session import ApiSession
from moorage_crds import names
from moorage_crds.pool import GPUInferencePool
from moorage_operator.handlers import login
from moorage_operator.handlers.memo import Memo
from moorage_operator.manifests.companions import build_budget, build_role_object, build_service
from moorage_operator.manifests.objects import Manifest
from moorage_operator.manifests.pods import build_pod_template
from moorage_operator.manifests.workloads import build_workload
from moorage_operator.services.surroundings import NamedObject
from moorage_policies.pools.classes import of_product

PLAIN_KOPF = "plain kopf handlers"
FLOOR = "list and watch only"

_PRODUCT = "NVIDIA-H100-80GB-HBM3"
_KUBECONFIG = "MOORAGE_BENCH_KUBECONFIG"
_WATCHED = (
    names.POOLS,
    names.ROLES,
    names.PODS,
    names.NODES,
    names.DEPLOYMENTS,
    names.SERVICES,
    names.DISRUPTION_BUDGETS,
)


def start_peer(group: ProcessGroup, plane: ControlPlane, name: str) -> int:
    """Start a peer as a child of ``group`` and return its process id."""
    command = [sys.executable, "-m", "moorage_benchmarks.operator_peers", name]
    environment = {**os.environ, _KUBECONFIG: str(plane.kubeconfig)}
    return group.spawn(name, command, environment).process.pid


async def _list_and_watch(kubeconfig: Path) -> None:
    """Follow every kind that the operator follows, and keep nothing."""
    async with await ApiSession.connect(kubeconfig) as session:
        followed = [
            Reflector(
                session,
                resource.path(),
                NamedObject,
                on_list=_ignore,
                on_change=_ignore,
                on_delete=_ignore,
            )
            for resource in _WATCHED
        ]
        await asyncio.gather(*(reflector.run() for reflector in followed))


def _ignore(_item: object) -> None:
    pass


class PlainHandlers:
    """The same children as ours, written the way kopf's tutorial writes operators."""

    def __init__(self, session: ApiSession) -> None:
        self._session = session
        self._told: dict[tuple[str, str], tuple[int, int]] = {}

    def register(self, registry: kopf.OperatorRegistry) -> None:
        """Register the handlers: create, update and resume of pools, an index of pods."""
        pool = (names.POOLS.group, names.POOLS.version, names.POOLS.plural)
        labels = {names.POOL_LABEL: kopf.PRESENT}
        kopf.index("", "v1", "pods", labels=labels, registry=registry, id="seats")(self.seat)
        kopf.on.create(*pool, registry=registry)(self.ensure)
        kopf.on.update(*pool, registry=registry)(self.ensure)
        kopf.on.resume(*pool, registry=registry)(self.ensure)
        kopf.on.event("", "v1", "pods", labels=labels, registry=registry)(self.pod_changed)

    async def seat(self, namespace: str | None, body: kopf.Body, **_: object) -> object:
        """Index a pod by its pool: where it sits and whether it is ready."""
        conditions = body.get("status", {}).get("conditions", [])
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        key = (namespace, body["metadata"]["labels"][names.POOL_LABEL])
        return {key: (bool(body["spec"].get("nodeName")), ready)}

    async def ensure(self, body: kopf.Body, **_: object) -> None:
        """Apply all children of a pool."""
        pool = GPUInferencePool.read(msgspec.json.decode(msgspec.json.encode(dict(body))))
        for manifest in _children(pool):
            await self._apply(manifest.path, manifest.fixed())
        await self._tell(pool.metadata.namespace, pool.metadata.name, 0, 0)

    async def pod_changed(
        self, namespace: str | None, labels: kopf.Labels, **indices: object
    ) -> None:
        """Write the pool's counts when they changed."""
        name = labels[names.POOL_LABEL]
        namespace = namespace or ""
        seats = cast("kopf.Index[tuple[str, str], tuple[bool, bool]]", indices["seats"])
        found = Counter(list(seats.get((namespace, name), ())))
        placed = sum(count for (has_node, _), count in found.items() if has_node)
        ready = sum(count for (_, is_ready), count in found.items() if is_ready)
        if self._told.get((namespace, name)) != (placed, ready):
            await self._tell(namespace, name, placed, ready)

    async def _tell(self, namespace: str, name: str, placed: int, ready: int) -> None:
        self._told[namespace, name] = (placed, ready)
        status = {"observedGeneration": 1, "placed": placed, "ready": ready}
        path = names.POOLS.path(namespace, name, "status")
        await self._session.patch(path, {"status": status}, kind="merge")

    async def _apply(self, path: str, body: dict[str, Any]) -> None:
        params = {"fieldManager": "plain", "force": "true"}
        await self._session.patch(path, body, kind="apply", params=params)


def _children(pool: GPUInferencePool) -> list[Manifest]:
    children = []
    for role in pool.spec.roles:
        (accelerator,) = role.accelerators
        resolved = of_product(accelerator.class_, _PRODUCT)
        template = build_pod_template(pool, role, accelerator, resolved)
        replicas = role.replicas or 1
        children += [
            build_role_object(pool, role, replicas=replicas, pool_replicas=replicas),
            build_service(pool, [template]),
            build_budget(pool, role),
            build_workload(pool, role, accelerator, template, replicas),
        ]
    return children


async def _handle(kubeconfig: Path) -> None:
    credentials = find_credentials(kubeconfig, None)
    async with ApiSession(credentials) as session:
        registry = kopf.OperatorRegistry()
        login.register(registry)
        PlainHandlers(session).register(registry)
        memo = Memo(view=None, credentials=credentials)  # type: ignore[arg-type]
        await kopf.operator(registry=registry, memo=memo, standalone=True, clusterwide=True)


def main() -> None:
    """Run the peer named on the command line until killed."""
    peer = {PLAIN_KOPF: _handle, FLOOR: _list_and_watch}[sys.argv[1]]
    asyncio.run(peer(Path(os.environ[_KUBECONFIG])))


if __name__ == "__main__":
    main()
