"""Carries out what scaling decided: counts of role objects, who leaves, events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from moorage_cluster.errors import ApiError
from moorage_cluster.events import Subject
from moorage_crds.names import (
    ACCELERATOR_CLASS_LABEL,
    PODS,
    POOLS,
    RESTING_ANNOTATION,
    SERVING_LABEL,
)
from moorage_crds.pool import GPUInferencePool, Role
from moorage_operator.manifests.companions import build_role_object
from moorage_operator.manifests.templates import Json
from moorage_operator.services.announcing import Tell
from moorage_operator.services.facts import PoolFacts
from moorage_operator.services.scaling_reading import SampleBook, role_child
from moorage_operator.services.view import ClusterView
from moorage_operator.services.writing import Requests, Writer
from moorage_policies.plans import DELETION_COST_ANNOTATION
from moorage_policies.scaling import RoleTarget
from moorage_policies.scaling.victims import Candidate, choose_leavers
from moorage_policies.types import NVIDIA_GPU, Pod

_MERGE = "application/merge-patch+json"
FIRST_TO_GO = "-1000"


class Leads(Protocol):
    """Says whether this process leads right now."""

    def __call__(self) -> bool:
        """Return whether it does."""
        ...


class ScalingActs:
    """Writes what one decision asks for; shrinking comes before growing.

    Args:
        view: the cluster as known.
        writer: writes role objects.
        session: marks pods.
        leads: asked before every mark.
        count: told the verb and the kind of every mark.
        tell: writes events.
    """

    def __init__(
        self,
        view: ClusterView,
        writer: Writer,
        session: Requests,
        leads: Leads,
        count: Callable[[str, str], None],
        tell: Tell,
    ) -> None:
        self._view = view
        self._writer = writer
        self._session = session
        self._leads = leads
        self._count = count
        self._tell = tell

    async def set_count(
        self, pool: GPUInferencePool, target: RoleTarget, facts: PoolFacts, book: SampleBook
    ) -> bool:
        """Write the count of one role; return whether it was written.

        Raises:
            ApiError: the server refused it, or somebody wrote in between: the next tick sees.
        """
        child = role_child(pool, target.role, facts)
        role = next(role for role in pool.spec.roles if role.name == target.role)
        if child is None or child.is_terminating or child.pool_replicas is None:
            return False
        if target.replicas < target.before:
            await self._mark_leavers(role, target.before - target.replicas, facts, book)
        manifest = build_role_object(
            pool, role, replicas=target.replicas, pool_replicas=child.pool_replicas
        )
        self._view.put_child(await self._writer.change(manifest, child))
        subject = Subject(
            pool.metadata.namespace,
            pool.metadata.name,
            pool.metadata.uid,
            POOLS.kind,
            POOLS.api_version,
        )
        text = f"role {target.role}: {target.before} to {target.replicas}: {target.reason}"
        await self._tell(subject, "Scaled", text)
        return True

    async def keep_resting(
        self, role: Role, count: int, facts: PoolFacts, book: SampleBook
    ) -> None:
        """Let this many pods of the role be out of the Service; what fails, the next tick tries."""
        staying = [pod for pod in facts.pods_of(role.name) if not pod.terminating]
        resting = self._view.pods.resting_of(staying)
        if count == len(resting):
            return
        if count < len(resting):
            back = sorted(resting, key=resting.__getitem__)[count:]  # who left last returns first
            await self.bring_back([pod for pod in staying if pod.uid in back])
            return
        serving = {pod.uid: pod for pod in staying if pod.uid not in resting}
        candidates = [_candidate(pod, role, facts, book) for pod in serving.values()]
        now = datetime.fromtimestamp(facts.now_s, UTC).isoformat(timespec="seconds")
        marks = {DELETION_COST_ANNOTATION: FIRST_TO_GO, RESTING_ANNOTATION: now}
        for uid in choose_leavers(candidates, count - len(resting)).value:
            await self._mark(serving[uid], marks, {SERVING_LABEL: "false"})

    async def bring_back(self, pods: Iterable[Pod]) -> None:
        """Let the Service send requests to these pods again."""
        marks = {DELETION_COST_ANNOTATION: None, RESTING_ANNOTATION: None}
        for pod in pods:
            await self._mark(pod, marks, {SERVING_LABEL: "true"})

    async def _mark_leavers(
        self, role: Role, count: int, facts: PoolFacts, book: SampleBook
    ) -> None:
        """Let exactly the chosen pods be the first to go; a mark that fails costs no more."""
        if any(option.nodes_per_replica > 1 for option in role.accelerators):
            return  # sets of groups drop the highest index, whatever a mark says
        pods = {pod.uid: pod for pod in facts.pods_of(role.name) if not pod.terminating}
        resting = self._view.pods.resting_of(pods.values())
        candidates = [
            replace(
                _candidate(pod, role, facts, book),
                rested_s=facts.now_s - resting[pod.uid] if pod.uid in resting else 0.0,
            )
            for pod in pods.values()
        ]
        for uid in choose_leavers(candidates, count).value:
            if uid not in resting:  # those that rest bear the mark already
                await self._mark(pods[uid], {DELETION_COST_ANNOTATION: FIRST_TO_GO}, {})

    async def _mark(
        self, pod: Pod, annotations: Mapping[str, str | None], labels: Mapping[str, str]
    ) -> None:
        if not self._leads():
            return
        self._count("patch", PODS.kind)
        metadata: Json = {"uid": pod.uid, "annotations": dict(annotations)}
        if labels:
            metadata["labels"] = dict(labels)
        # a refusal is no harm: the next tick looks again
        with suppress(ApiError):
            await self._session.request(
                "PATCH",
                PODS.path(pod.namespace, pod.name),
                body={"metadata": metadata},
                content_type=_MERGE,
            )


def _candidate(pod: Pod, role: Role, facts: PoolFacts, book: SampleBook) -> Candidate:
    snapshot = facts.snapshot
    places = {option.class_: place for place, option in enumerate(role.accelerators)}
    row = snapshot.node_index.get(pod.node or "")
    column = snapshot.columns.get(NVIDIA_GPU)
    free = node = 0
    if row is not None and column is not None:
        free, node = int(snapshot.free[row, column]), int(snapshot.allocatable[row, column])
    values: Mapping[str, float] = book.pairs[pod.uid][1].values if pod.uid in book.pairs else {}
    return Candidate(
        pod.uid,
        pod.ready,
        pod.requests.get(NVIDIA_GPU, 0),
        free,
        node,
        places.get(pod.labels.get(ACCELERATOR_CLASS_LABEL, ""), 0),
        values.get("kv_ratio"),
        values.get("running", 0.0),
        facts.now_s - pod.created_s,
    )
