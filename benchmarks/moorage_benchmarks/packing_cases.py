"""What packing is measured on: clusters that the stock scheduler left, or given instance files.

A file is a JSON object, or a list of such objects under ``instances``::

    {"name": "case-1",
     "nodes": [{"name": "n1", "capacity": {"cpu": "4", "memory": "8Gi"}}],
     "pods": [{"name": "p1", "requests": {"cpu": "500m", "memory": "1Gi"},
               "priority": 3, "node": "n1"}]}

``capacity`` and ``requests`` take Kubernetes quantities or plain numbers (cpu in cores). ``node``
is where the pod runs today, ``null`` while it waits; when no pod of an instance has a node, the
stock scheduler places them first, in the order of the file. ``name``, ``priority`` (0) and
``owner`` (the workload, the pod's own name) may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from moorage_crds.quantities import to_millicores, to_units
from moorage_policies.errors import BadInputError
from moorage_policies.packing.instance import Instance
from moorage_policies.packing.translate import Rules, from_cluster
from moorage_policies.simulation import SchedulerParams, simulate
from moorage_policies.types import CPU, PODS, Node, Owner, Pod

POD_SLOTS = 110
PAPER_COSTS = (2, 1)  # the paper's objective: a move costs 2, an eviction 1
STRICT_COSTS = (2, 3)


@dataclass(frozen=True, slots=True)
class Case:
    """One instance: a cluster as the stock scheduler left it, and the cell that it belongs to."""

    cell: str
    seed: int
    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]

    @property
    def is_needed(self) -> bool:
        """Return whether a pod waits."""
        return any(pod.node is None for pod in self.pods)

    def to_instance(self, *, same_tier_eviction: bool) -> Instance:
        """Return the packing problem in which every running pod may be moved and evicted."""
        costs = PAPER_COSTS if same_tier_eviction else STRICT_COSTS
        rules = Rules(
            movable=lambda _pod: True,
            evictable=lambda _pod: True,
            costs=lambda _pod: costs,
            same_tier_eviction=same_tier_eviction,
        )
        return from_cluster(self.nodes, self.pods, rules=rules).instance


def place_by_stock(
    cell: str, seed: int, nodes: Sequence[Node], waves: Sequence[Sequence[Pod]]
) -> Case:
    """Return the case that the stock scheduler leaves behind, with preemption, ties by name."""
    result = simulate(
        nodes, (), SchedulerParams(ties="name"), np.random.default_rng(seed), waves=waves
    ).value
    pods = tuple(
        replace(pod, node=result.placements.get(pod.uid)) for wave in waves for pod in wave
    )
    return Case(cell, seed, tuple(nodes), pods)


class _NodeEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    capacity: dict[str, str | int | float]


class _PodEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    requests: dict[str, str | int | float]
    priority: int = 0
    node: str | None = None
    owner: str | None = None


class _InstanceEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = ""
    nodes: list[_NodeEntry]
    pods: list[_PodEntry]


def read_cases(files: Sequence[Path]) -> Iterator[Case]:
    """Yield the instances of given files."""
    for file in files:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            entries = content.get("instances", [content]) if isinstance(content, dict) else content
            parsed = [_InstanceEntry.model_validate(entry) for entry in entries]
        except (OSError, TypeError, ValueError, ValidationError) as error:
            message = f"is not an instance file: {error}; see 'moorage bench packing --help'"
            raise BadInputError(message, field=str(file)) from error
        for number, entry in enumerate(parsed):
            yield _case(entry, f"{file.stem}-{number}", number)


def _case(entry: _InstanceEntry, fallback: str, number: int) -> Case:
    nodes = tuple(
        Node(name=n.name, uid=n.name, allocatable={PODS: POD_SLOTS, **_amounts(n.capacity)})
        for n in entry.nodes
    )
    pods = tuple(
        Pod(
            uid=p.name,
            namespace="default",
            name=p.name,
            node=p.node,
            priority=p.priority,
            requests=_amounts(p.requests),
            owner=Owner("ReplicaSet", p.owner or p.name, p.owner or p.name),
            labels={"app": p.owner or p.name},
        )
        for p in entry.pods
    )
    name = entry.name or fallback
    if any(pod.node for pod in pods):
        return Case(name, number, nodes, pods)
    return place_by_stock(name, number, nodes, [(pod,) for pod in pods])


def _amounts(quantities: dict[str, str | int | float]) -> dict[str, int]:
    return {
        name: to_millicores(value) if name == CPU else to_units(value)
        for name, value in quantities.items()
    }
