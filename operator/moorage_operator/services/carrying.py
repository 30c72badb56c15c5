"""Carries out a pool's plan: applies what differs, removes what is not wanted any more."""

from __future__ import annotations

from dataclasses import dataclass

from moorage_cluster.errors import ApiError, ConflictError
from moorage_crds.names import POOLS
from moorage_crds.pool import GPUInferencePool
from moorage_operator.children import Child, read_child
from moorage_operator.errors import NAMESPACE_GONE, name_taken, to_problem
from moorage_operator.manifests.objects import Manifest
from moorage_operator.services.facts import PoolFacts
from moorage_operator.services.planning import PoolPlan
from moorage_operator.services.view import ClusterView
from moorage_operator.services.writing import Writer
from moorage_policies.pools.problems import Problem


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a plan.

    Args:
        refusals: what the API server refused of it.
        writes: objects that were written or removed.
    """

    refusals: tuple[Problem, ...]
    writes: int


class Carrier:
    """Writes children; what it was answered goes into the view at once.

    Args:
        view: the cluster as known.
        writer: carries out single writes.
    """

    def __init__(self, view: ClusterView, writer: Writer) -> None:
        self._view = view
        self._writer = writer

    async def carry_out(self, pool: GPUInferencePool, plan: PoolPlan, facts: PoolFacts) -> Carried:
        """Bring the children to the plan, in its order; a refusal does not stop the rest.

        Raises:
            UnavailableError: somebody wrote in between, or the server does not answer.
        """
        refusals: list[Problem] = []
        writes = 0
        for manifest in plan.manifests:
            done = await self._ensure(pool, manifest, facts.children.get(manifest.key))
            if isinstance(done, Problem):
                refusals.append(done)
                if done.reason in NAMESPACE_GONE:
                    return Carried(tuple(refusals), writes)
            else:
                writes += done
        for child in _unwanted(pool, plan, facts):
            await self._writer.remove(child)
            writes += 1
        return Carried(tuple(refusals), writes)

    async def _ensure(
        self, pool: GPUInferencePool, manifest: Manifest, live: Child | None
    ) -> Problem | bool:
        """Return whether an apply was needed, or why it was refused."""
        if live is not None:
            problem = _foreign(manifest, live, pool)
            if problem is not None:
                return problem
            owned = live.is_owned_by(pool.metadata.uid)
            if live.is_terminating or (owned and live.satisfies(manifest)):
                return False
        try:
            if live is None:
                return await self._create(pool, manifest)
            applied = await self._writer.change(manifest, live)
        except ApiError as error:
            problem = to_problem(error, manifest)
            if problem is None:
                raise
            return problem
        self._view.put_child(applied, wake=False)
        return True

    async def _create(self, pool: GPUInferencePool, manifest: Manifest) -> Problem | bool:
        try:
            created = await self._writer.create(manifest)
        except ConflictError:
            body = await self._writer.read(manifest.resource, manifest.namespace, manifest.name)
            if body is None:
                raise
            found = read_child(manifest.resource, body)
            problem = _foreign(manifest, found, pool)
            if problem is not None:
                return problem
            self._view.put_child(found, wake=False)
            raise  # ours, or to be adopted: look again, now that it is known
        self._view.put_child(created, wake=False)
        return True


def _unwanted(pool: GPUInferencePool, plan: PoolPlan, facts: PoolFacts) -> list[Child]:
    wanted = {manifest.key for manifest in plan.manifests} | plan.kept
    return [
        child
        for child in facts.children.values()
        if child.is_owned_by(pool.metadata.uid)
        and child.key not in wanted
        and not child.is_terminating
    ]


def _foreign(manifest: Manifest, live: Child, pool: GPUInferencePool) -> Problem | None:
    """Return why an object of the wanted name cannot be used; ``None`` for ours and our orphans."""
    owner = live.owner
    if live.is_owned_by(pool.metadata.uid):
        return None
    if owner is None:
        if live.pool == (pool.metadata.namespace, pool.metadata.name):
            return None  # left behind on purpose (--cascade=orphan) or restored: adopt it
        return name_taken(manifest, "nobody known to the operator")
    if owner.kind == POOLS.kind and owner.name == pool.metadata.name:
        return Problem(
            "PredecessorTerminating",
            f"{manifest.resource.kind} {manifest.name} belongs to an earlier pool of this name and "
            "is still being removed; nothing to do but wait",
            role=manifest.role,
        )
    return name_taken(manifest, f"{owner.kind} {owner.name}")
