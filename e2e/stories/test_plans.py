"""A plan on real kubelets: the replacement is ready before the old pod goes."""

from __future__ import annotations

import json
import uuid
from typing import Any

from moorage_crds.names import DEPLOYMENTS, PLANS, PODS, POLICIES, POOL_LABEL, SURGE_ANNOTATION

Json = dict[str, Any]


def move(pod: Json, to: str) -> Json:
    [owner] = pod["metadata"]["ownerReferences"]
    return {
        "index": 0,
        "step": 0,
        "kind": "Move",
        "pod": {key: pod["metadata"][key] for key in ("namespace", "name", "uid")},
        "owner": {key: owner[key] for key in ("kind", "name", "uid")},
        "from": pod["spec"]["nodeName"],
        "to": to,
        "strategy": "SurgeFirst",
        "gpus": 2,
    }


def lenient_policy() -> Json:
    """Return a policy under which tests need not wait for budgets of a day."""
    disruption = {
        "maxMoves": 100, "maxMovesPerOwner": 100, "ownerCoolDownSeconds": 0,
        "podCoolDownSeconds": 0,
    }  # fmt: skip
    return {
        "apiVersion": POLICIES.api_version,
        "kind": POLICIES.kind,
        "metadata": {"name": "default"},
        "spec": {"disruption": disruption},
    }


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", ())
    told = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return told and "deletionTimestamp" not in pod["metadata"]


def fewest_ready(pools: Any, before: list[Json], since: str) -> int:
    """Return the least number of ready pods over every revision since then."""
    query = {
        "watch": "1", "resourceVersion": since, "timeoutSeconds": "1",
        "labelSelector": f"{POOL_LABEL}=chat",
    }  # fmt: skip
    body = pools.api.raw("GET", PODS.path(pools.namespace), query=query)
    known = {pod["metadata"]["uid"]: pod for pod in before}
    counts = [len(before)]
    for line in filter(None, body.splitlines()):
        event = json.loads(line)
        known[event["object"]["metadata"]["uid"]] = event["object"]
        if event["type"] == "DELETED":
            del known[event["object"]["metadata"]["uid"]]
        counts.append(sum(map(is_ready, known.values())))
    return min(counts)


def test_surge_first_exchanges_one_pod_and_serving_never_shrinks(
    pools: Any, eventually: Any
) -> None:
    pools.api.apply(POLICIES.path("", "default"), lenient_policy(), "stories")
    pools.apply("chat", {"worker": (3, 2)})
    before = pools.wait_running("chat", 3)
    since = pools.api.get(PODS.path(pools.namespace))["metadata"]["resourceVersion"]
    used = {pod["spec"]["nodeName"] for pod in before}
    target = next(node for node in pools.cluster.gpu_nodes() if node not in used)

    plan = f"plan-{uuid.uuid4().hex[:8]}"
    spec = {"trigger": "Manual", "mode": "Auto", "certificate": {"status": "Feasible"}}
    manifest = {
        "apiVersion": PLANS.api_version,
        "kind": PLANS.kind,
        "metadata": {"name": plan},
        "spec": {**spec, "moves": [move(before[0], target)]},
    }
    pools.api.create(PLANS.path(), manifest)

    def phase() -> str:
        return str(pools.api.get(PLANS.path("", plan)).get("status", {}).get("phase"))

    eventually(lambda: phase() in ("Completed", "Aborted"), what="the plan has ended", within_s=120)
    status = pools.api.get(PLANS.path("", plan))["status"]
    assert status["phase"] == "Completed", status
    after = {pod["metadata"]["uid"]: pod for pod in pools.wait_running("chat", 3)}
    stayed = {pod["metadata"]["uid"] for pod in before[1:]}
    assert stayed < after.keys()  # exactly the old one went
    [new] = after.keys() - stayed
    assert after[new]["spec"]["nodeName"] == target
    assert fewest_ready(pools, before, since) == 3
    [deployment] = pools.api.get(DEPLOYMENTS.path(pools.namespace))["items"]
    assert SURGE_ANNOTATION not in deployment["metadata"]["annotations"]
    pools.api.delete(PLANS.path("", plan))


def test_the_planner_makes_room_for_a_pod_that_fits_nowhere(pools: Any, eventually: Any) -> None:
    pools.api.apply(POLICIES.path("", "default"), lenient_policy(), "stories")
    first, second, third = pools.cluster.gpu_nodes()

    def fill(name: str, node: str, gpus: int) -> None:
        pools.bare_pod(name, gpus, nodeSelector={"kubernetes.io/hostname": node})
        pools.wait_pod(name)

    # free: 8, 8, 8 -> 6, 0, 0: the replica of 2 must go to the first node -> 4, 0, 0
    fill("a", first, 2)
    fill("b", second, 4)
    fill("gap", second, 4)
    fill("c", third, 8)
    pools.apply("chat", {"worker": (1, 2)})
    before = pools.wait_running("chat", 1)
    assert before[0]["spec"]["nodeName"] == first
    since = pools.api.get(PODS.path(pools.namespace))["metadata"]["resourceVersion"]
    # 4, 4, 0: six devices are there, on no node; with the replica on the second node they are
    pools.api.delete(PODS.path(pools.namespace, "gap"))
    eventually(
        lambda: not pools.api.answers(PODS.path(pools.namespace, "gap")), what="the gap is there"
    )
    pools.bare_pod("large", 6, priorityClassName="story-low")
    assert pools.wait_pod("large", within_s=150)["spec"]["nodeName"] == first
    [moved] = pools.wait_running("chat", 1)
    assert moved["spec"]["nodeName"] == second
    assert fewest_ready(pools, before, since) == 1
    plans = pools.api.get(PLANS.path())["items"]
    assert "Unschedulable" in {plan["spec"]["trigger"] for plan in plans}


def test_a_policy_whose_schedule_never_comes_says_so(pools: Any, eventually: Any) -> None:
    policy = lenient_policy()
    never = {"cron": "0 3 30 2 *", "timezone": "Europe/Berlin", "durationSeconds": 3600}
    policy["spec"]["defragmentation"] = {"trigger": "Schedule", "schedules": [never]}
    path = POLICIES.path("", "default")
    pools.api.apply(path, policy, "stories")

    def said() -> str:
        found = pools.api.get(path).get("status", {}).get("conditions", ())
        return next((c["message"] for c in found if c["type"] == "DefragmentationReady"), "")

    try:
        eventually(said, what="the policy has a condition", within_s=60)
        assert "defragmentation.schedules[0].cron" in said()
    finally:
        pools.api.delete(path)
