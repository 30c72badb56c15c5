"""Clusters for the planner's decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from moorage_policies.planning.facts import Facts
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import Node, Owner, Pod

OURS = "moorage-scheduler"


def running(name: str, node: str, gpus: int, **fields: Any) -> Pod:
    """Return a ready pod of a workload of its own."""
    owner = fields.pop("owner", Owner("ReplicaSet", f"{name}-rs", f"rs-{name}"))
    return make_pod(
        name,
        gpus=gpus,
        node=node,
        scheduler=OURS,
        phase="Running",
        ready=True,
        owner=owner,
        **fields,
    )


def waiting(name: str, gpus: int, **fields: Any) -> Pod:
    """Return a pod that kube-scheduler found no room for."""
    return make_pod(name, gpus=gpus, scheduler=OURS, unschedulable=True, **fields)


def make_facts(
    nodes: Sequence[Node], pods: Sequence[Pod], *, surge: bool = True, **fields: Any
) -> Facts:
    """Return facts in which pools let every running pod be moved."""
    migrations = {pod.uid: "SurgeFirst" for pod in pods if pod.node} if surge else {}
    facts = Facts(1000.0, 1, tuple(nodes), tuple(pods), migrations=migrations)
    return replace(facts, **fields)


@pytest.fixture
def scattered() -> Facts:
    """Return four GPUs free over three nodes, and a pod that needs four on one."""
    nodes = [make_node(name, gpus=4) for name in "abc"]
    pods = [
        running("p", "a", 2),
        running("q", "b", 3),
        running("r", "c", 3),
        waiting("wants-four", 4),
    ]
    pods[1:3] = [running("q", "b", 3), running("r", "c", 2)]
    return make_facts(nodes, pods)


@pytest.fixture
def build() -> Callable[..., Facts]:
    return make_facts
