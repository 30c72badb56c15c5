"""The story that the demo tells: its nodes, its pools and what must hold at the end.

Three zones of simulated 8-GPU nodes of two accelerator classes. A low-priority batch pool fills
most of the scarce H100s; then a high-priority chat pool arrives, whose prefill role needs more
H100s than are free. At last batch shrinks, which leaves eight H100s free but in pieces, and a pod
that needs a whole node comes: a plan makes room for it. The same story runs on the real control
plane and on the simulator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moorage_cli.control_plane.simulated_nodes import A100, H100, NodeSpec
from moorage_cli.demo.view import View
from moorage_crds.names import API_VERSION, POOLS

NAMESPACE = "demo"
ZONES = ("harbour-a", "harbour-b", "harbour-c")
GPUS_PER_NODE = 8
NODES_PER_ZONE = {"h100": (H100, 2), "a100": (A100, 1)}
PRIORITIES = {"inference-high": 100_000, "inference-low": 1_000}


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """One role of a pool: replicas, GPUs a replica asks for, and its accelerator class."""

    name: str
    replicas: int
    gpus: int
    accelerator: str


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """One pool of the story."""

    name: str
    priority_class: str
    roles: tuple[RoleSpec, ...]

    @property
    def replicas(self) -> int:
        """Return the pods that the pool wishes for."""
        return sum(role.replicas for role in self.roles)

    def role(self, name: str) -> RoleSpec:
        """Return the role of this name."""
        return next(role for role in self.roles if role.name == name)

    def to_manifest(self) -> Mapping[str, Any]:
        """Return the ``GPUInferencePool`` that a user would apply."""
        return {
            "apiVersion": API_VERSION,
            "kind": POOLS.kind,
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "model": {"name": self.name, "engine": "vllm"},
                "priorityClassName": self.priority_class,
                "roles": [_role_manifest(role) for role in self.roles],
            },
        }


def _role_manifest(role: RoleSpec) -> Mapping[str, Any]:
    container = {
        "name": "engine",
        "image": "example.com/engine:1",
        "resources": {"requests": {"cpu": "4", "memory": "32Gi"}},
    }
    return {
        "name": role.name,
        "replicas": role.replicas,
        "accelerators": [{"class": role.accelerator, "count": role.gpus}],
        "template": {"spec": {"containers": [container], "terminationGracePeriodSeconds": 1}},
    }


def make_nodes() -> tuple[NodeSpec, ...]:
    """Return the nine nodes of the story: per zone two of H100 and one of A100."""
    return tuple(
        NodeSpec(f"{zone}-{kind}-{number}", gpus=GPUS_PER_NODE, gpu=model, zone=zone)
        for zone in ZONES
        for kind, (model, count) in NODES_PER_ZONE.items()
        for number in range(count)
    )


BATCH = PoolSpec("batch", "inference-low", (RoleSpec("worker", 10, 4, "H100-80GB"),))
CHAT = PoolSpec(
    "chat",
    "inference-high",
    (RoleSpec("prefill", 3, 4, "H100-80GB"), RoleSpec("decode", 2, 8, "A100-40GB")),
)
"""Batch takes 40 of 48 H100s, chat's prefill asks for 12 of them: one batch pod must go."""

GIANT = PoolSpec("giant", "inference-low", (RoleSpec("worker", 1, 8, "H100-80GB"),))
"""It outranks nobody, so that only a rearrangement can place it."""

SCALED_DECODE_REPLICAS = 3
EXPECTED_PREEMPTIONS = 1
SHRUNK_BATCH_REPLICAS = 7
PIECES = 2

CHAPTERS = (
    "1. A low-priority batch pool takes most of the H100s",
    "2. A high-priority chat pool arrives; batch makes room, no more than needed",
    f"3. kubectl scale gir chat-decode --replicas {SCALED_DECODE_REPLICAS}",
    f"4. Batch shrinks to {SHRUNK_BATCH_REPLICAS}: 8 H100s are free, 4 on each of two nodes",
    "5. A pod of 8 GPUs fits nowhere; a plan moves one pod, its replacement ready before it goes",
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, and whether it did."""

    what: str
    holds: bool


def reached(chapter: int, view: View) -> bool:
    """Return whether a chapter, counted from 0, has come to its end."""
    left = BATCH.replicas - EXPECTED_PREEMPTIONS
    match chapter:
        case 0:
            return view.placed(BATCH.name) == BATCH.replicas
        case 1:
            return view.placed(CHAT.name) == CHAT.replicas and view.placed(BATCH.name) == left
        case 2:
            return view.placed(CHAT.name, "decode") == SCALED_DECODE_REPLICAS
        case 3:
            return view.count(BATCH.name) == view.placed(BATCH.name) == SHRUNK_BATCH_REPLICAS
        case _:
            return view.placed(GIANT.name) == 1 and _has_made_room(view)


def pick_leavers(view: View) -> tuple[str, ...]:
    """Return the batch pods that go when batch shrinks: one on each of two nodes."""
    by_node = {b.node: b.pod for b in view.berths if b.pool == BATCH.name and b.node}
    return tuple(by_node[node] for node in sorted(by_node)[:PIECES])


def _has_made_room(view: View) -> bool:
    return [(p.moves, p.evictions, p.phase) for p in view.plans] == [(1, 0, "Completed")]


def check(views: Sequence[View]) -> list[Check]:
    """Return what must hold of the views at the end of each chapter."""
    told = [Check(title, reached(n, views[n])) for n, title in enumerate(CHAPTERS)]
    made_room = views[-1].preempted
    batch = min(view.placed(BATCH.name) for view in views[3:])
    return [
        *told,
        Check(
            f"one plan moved 1 pod and evicted none; batch kept {batch} pods",
            _has_made_room(views[-1]) and batch == SHRUNK_BATCH_REPLICAS,
        ),
        Check(
            f"{len(made_room)} of {BATCH.replicas} batch pods made room, as many as needed",
            len(made_room) == EXPECTED_PREEMPTIONS,
        ),
    ]
