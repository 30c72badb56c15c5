"""Bindings and evictions against the real API server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from moorage_cluster.bind import BindRefused, Bound, BoundElsewhere, PodGone, bind
from moorage_cluster.evict import Evicted, Gone, Misconfigured, Refused, evict
from moorage_cluster.session import ApiSession
from moorage_cluster.testing import eventually
from moorage_crds.names import DISRUPTION_BUDGETS, PODS

pytestmark = pytest.mark.control_plane

MakePod = Callable[..., dict[str, Any]]


async def create(session: ApiSession, pod: dict[str, Any]) -> str:
    item = await session.create(PODS.path(pod["metadata"]["namespace"]), pod)
    uid: str = item["metadata"]["uid"]
    return uid


async def create_budget(session: ApiSession, namespace: str, name: str, app: str) -> None:
    await session.create(
        DISRUPTION_BUDGETS.path(namespace),
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": name},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}},
        },
    )
    status: dict[str, Any] = {}

    async def observed() -> bool:
        item = await session.get_json(DISRUPTION_BUDGETS.path(namespace, name))
        status.update(item.get("status") or {})
        return bool(status.get("observedGeneration"))

    await eventually(observed)


async def make_running(session: ApiSession, namespace: str, name: str) -> None:
    """Play the kubelet: a pod that is not ready may always be evicted from a met budget."""
    ready = {"type": "Ready", "status": "True"}
    await session.patch(
        PODS.path(namespace, name, "status"),
        {"status": {"phase": "Running", "conditions": [ready]}},
    )


async def test_a_pod_is_bound_once_and_binding_it_again_is_harmless(
    session: ApiSession, namespace: str, pod_manifest: MakePod
) -> None:
    uid = await create(session, pod_manifest("p"))
    assert await bind(session, namespace, "p", uid, "node-a") == Bound()
    assert await bind(session, namespace, "p", uid, "node-a") == Bound(earlier=True)
    assert await bind(session, namespace, "p", uid, "node-b") == BoundElsewhere("node-a")
    pod = await session.get_json(PODS.path(namespace, "p"))
    assert pod["spec"]["nodeName"] == "node-a"


async def test_a_successor_of_the_same_name_is_not_bound(
    session: ApiSession, namespace: str, pod_manifest: MakePod
) -> None:
    old = await create(session, pod_manifest("p"))
    await session.delete(PODS.path(namespace, "p"), uid=old, grace_period_s=0)
    assert await bind(session, namespace, "p", old, "node-a") == PodGone()
    await create(session, pod_manifest("p"))
    assert await bind(session, namespace, "p", old, "node-a") == PodGone()
    pod = await session.get_json(PODS.path(namespace, "p"))
    assert "nodeName" not in pod["spec"]


async def test_a_gated_pod_is_refused_with_the_servers_reason(
    session: ApiSession, namespace: str, pod_manifest: MakePod
) -> None:
    pod = pod_manifest("p", schedulingGates=[{"name": "example.test/gate"}])
    uid = await create(session, pod)
    outcome = await bind(session, namespace, "p", uid, "node-a")
    assert isinstance(outcome, BindRefused)
    assert "gate" in outcome.message.lower()


async def test_a_pod_being_deleted_is_refused(
    session: ApiSession, namespace: str, pod_manifest: MakePod
) -> None:
    pod = pod_manifest("p")
    pod["metadata"]["finalizers"] = ["example.test/hold"]
    uid = await create(session, pod)
    await session.delete(PODS.path(namespace, "p"))
    outcome = await bind(session, namespace, "p", uid, "node-a")
    await session.patch(PODS.path(namespace, "p"), {"metadata": {"finalizers": None}})
    assert isinstance(outcome, BindRefused)


async def test_an_eviction_within_the_budget_goes_through_and_the_next_is_refused(
    session: ApiSession, namespace: str, pod_manifest: MakePod
) -> None:
    uids = {}
    for name in ("a", "b"):
        pod = pod_manifest(name)
        pod["metadata"]["labels"] = {"app": "pair"}
        uids[name] = await create(session, pod)
        await make_running(session, namespace, name)
    await create_budget(session, namespace, "budget", "pair")

    async def one_may_go() -> bool:
        item = await session.get_json(DISRUPTION_BUDGETS.path(namespace, "budget"))
        return bool(item["status"]["disruptionsAllowed"] == 1)

    await eventually(one_may_go)
    assert await evict(session, namespace, "a", uids["a"], grace_period_s=0) == Evicted()
    refused = await evict(session, namespace, "b", uids["b"])
    assert isinstance(refused, Refused)
    assert refused.by_budget
    assert "budget" in refused.message
    assert await session.get_json(PODS.path(namespace, "b"))


async def test_several_budgets_over_one_pod_are_named_as_the_fault(
    session: ApiSession, namespace: str, pod_manifest: MakePod
) -> None:
    uid = await create(session, pod_manifest("p"))
    await make_running(session, namespace, "p")
    for name in ("one", "two"):
        await create_budget(session, namespace, name, "p")
    outcome = await evict(session, namespace, "p", uid)
    assert isinstance(outcome, Misconfigured)
    assert "PodDisruptionBudget" in outcome.message


async def test_a_successor_of_the_same_name_is_not_evicted(
    session: ApiSession, namespace: str, pod_manifest: MakePod
) -> None:
    old = await create(session, pod_manifest("p"))
    await session.delete(PODS.path(namespace, "p"), grace_period_s=0)
    assert await evict(session, namespace, "p", old) == Gone()
    new = await create(session, pod_manifest("p"))
    assert await evict(session, namespace, "p", old) == Gone()
    pod = await session.get_json(PODS.path(namespace, "p"))
    assert pod["metadata"]["uid"] == new
    assert "deletionTimestamp" not in pod["metadata"]


async def test_evicting_a_pod_that_is_already_leaving_counts_as_evicted(
    session: ApiSession, namespace: str, pod_manifest: MakePod
) -> None:
    pod = pod_manifest("p")
    pod["metadata"]["finalizers"] = ["example.test/hold"]
    uid = await create(session, pod)
    first = await evict(session, namespace, "p", uid)
    second = await evict(session, namespace, "p", uid)
    await session.patch(PODS.path(namespace, "p"), {"metadata": {"finalizers": None}})
    assert (first, second) == (Evicted(), Evicted())
