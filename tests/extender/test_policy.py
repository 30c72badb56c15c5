from __future__ import annotations

from typing import Any

import msgspec

from moorage_crds.objects import ObjectMeta
from moorage_extender.planner.books import PolicyObject
from moorage_policies.plans import Move, MoveProgress, Plan, PlanProgress, PlanRecord
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import Owner


def _tell(extender: Any, spec: dict[str, Any]) -> None:
    raw = msgspec.Raw(msgspec.json.encode(spec))
    extender.ctx.policy.put(PolicyObject(ObjectMeta(name="default"), raw))
    extender.ctx.learn()


async def _points(extender: Any, owner: str = "") -> dict[str, float]:
    """Return the points of the chosen node for a one-GPU pod, by scorer."""
    meta: dict[str, Any] = {"name": "new", "namespace": "team", "uid": "u"}
    meta["labels"] = {"moorage.dev/pool": "chat"}
    if owner:
        reference = {"kind": "ReplicaSet", "name": "rs", "uid": owner, "controller": True}
        meta["ownerReferences"] = [{"apiVersion": "apps/v1", **reference}]
    resources = {"requests": {"nvidia.com/gpu": "1"}}
    pod = {"metadata": meta, "spec": {"containers": [{"name": "c", "resources": resources}]}}
    await extender.ask("prioritize", {"Pod": pod, "Nodes": None, "NodeNames": ["a", "b"]})
    points: dict[str, float] = (await extender.decisions())[0]["best"][0]["points"]
    return points


async def test_the_policy_weighs_scorers_as_soon_as_it_is_learned(extender: Any) -> None:
    extender.told([make_node("a"), make_node("b")])
    assert set(await _points(extender)) == {"fragmentation"}
    override = {
        "name": "chat",
        "pools": ["team/chat"],
        "scorers": [{"name": "Fragmentation", "weight": 0}],
    }
    _tell(extender, {"scorerOverrides": [override]})
    assert await _points(extender) == {}
    _tell(extender, {})
    assert set(await _points(extender)) == {"fragmentation"}


async def test_a_policy_that_cannot_rank_changes_nothing_and_is_counted(extender: Any) -> None:
    extender.told([make_node("a"), make_node("b")])
    parameters = {"patience": "3"}
    _tell(
        extender,
        {"scorers": [{"name": "Fragmentation", "weight": 0, "parameters": parameters}]},
    )
    assert set(await _points(extender)) == {"fragmentation"}
    series = 'moorage_extender_degraded_total{reason="policy",verb="prioritize"}'
    assert await extender.metric(series) == 1.0


async def test_moves_of_plans_make_their_workload_seek_quiet_nodes(extender: Any) -> None:
    extender.told([make_node("a"), make_node("b")], [make_pod("p", gpus=6, node="b")])
    owner = Owner("ReplicaSet", "rs", "rs-uid")
    plan = Plan("plan", moves=(Move(0, 0, "Move", "old", "team", "old", owner),))
    done = PlanProgress(moves=(MoveProgress(0, "Done", finished_s=1e9),))
    extender.ctx.kept_room.plans["plan"] = PlanRecord(plan, done)
    extender.ctx.learn()
    assert "fairness" in await _points(extender, owner="rs-uid")
    assert "fairness" not in await _points(extender, owner="another")
