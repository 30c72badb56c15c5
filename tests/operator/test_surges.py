"""Replicas that a running plan adds: written by the pools service, and taken back by it alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from moorage_crds.names import SURGE_ANNOTATION, workload_name

Json = dict[str, Any]
DEPLOYMENT = workload_name("llama", "server", "H100-80GB")
UID = "6f1c"


def plan(phase: str = "Surging", *, version: int = 1, plan_phase: str = "Executing") -> bytes:
    move = {
        "index": 0,
        "step": 0,
        "kind": "Move",
        "pod": {"namespace": "team", "name": f"{DEPLOYMENT}-59f4-x", "uid": UID},
        "owner": {"kind": "ReplicaSet", "name": f"{DEPLOYMENT}-59f4", "uid": "rs"},
        "from": "h1",
        "to": "h2",
        "strategy": "SurgeFirst",
    }
    spec = {"trigger": "Manual", "moves": [move], "certificate": {"status": "Feasible"}}
    status = {"phase": plan_phase, "moves": [{"index": 0, "phase": phase}]}
    meta = {"name": "p", "uid": "up", "resourceVersion": str(version)}
    return msgspec.json.encode({"metadata": meta, "spec": spec, "status": status})


def written(bench: Any) -> tuple[int, str | None]:
    deployment = bench.deployment(DEPLOYMENT)
    annotations = deployment["metadata"]["annotations"]
    return deployment["spec"]["replicas"], annotations.get(SURGE_ANNOTATION)


async def test_a_surging_move_adds_one_replica_until_it_leaves_that_phase(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    assert written(bench) == (2, None)
    bench.view.plans.note("MODIFIED", plan())
    assert (("team", "llama"), True) in bench.woken
    await bench.settle()
    assert written(bench) == (3, "1")
    assert bench.pool()["status"]["desired"] == 2
    bench.view.plans.note("MODIFIED", plan("Evicting", version=2))
    await bench.settle()
    assert written(bench) == (2, None)


async def test_a_restart_in_the_middle_neither_drops_nor_doubles_the_surge(
    bench: Any, new_pool: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    bench.view.plans.note("MODIFIED", plan())
    await bench.settle()
    bench.restart()
    bench.view.plans.take_list([plan()])
    writes = len(bench.api.writes)
    await bench.settle()
    assert written(bench) == (3, "1")
    assert len(bench.api.writes) == writes


async def test_a_change_of_the_wish_during_a_surge_counts_beside_it(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    bench.apply_pool(new_pool())
    await bench.settle()
    bench.view.plans.note("MODIFIED", plan())
    await bench.settle()
    bench.apply_pool(new_pool(roles=[{**new_role(), "replicas": 3}]))
    await bench.settle()
    assert written(bench) == (4, "1")
    bench.view.plans.note("DELETED", plan(version=2))
    await bench.settle()
    assert written(bench) == (3, None)


@pytest.mark.parametrize("phase", ["Approved", "Completed", "Aborted"])
async def test_only_running_plans_add_replicas(
    bench: Any, new_pool: Callable[..., Json], phase: str
) -> None:
    bench.apply_pool(new_pool())
    bench.view.plans.note("ADDED", plan(plan_phase=phase))
    await bench.settle()
    assert written(bench) == (2, None)


async def test_growth_beside_a_surge_stays_within_the_limit_of_accelerators(
    bench: Any, new_pool: Callable[..., Json], new_role: Callable[..., Json]
) -> None:
    limit = 12  # 2 replicas and the surge take 3 x 4
    bench.apply_pool(new_pool(maxGpus=limit))
    await bench.settle()
    bench.view.plans.note("ADDED", plan())
    await bench.settle()
    bench.apply_pool(new_pool(maxGpus=limit, roles=[{**new_role(), "replicas": 3}]))
    await bench.settle()
    assert written(bench) == (3, "1")
