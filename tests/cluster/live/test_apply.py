"""Server-side apply against the real API server: no write without a change, every change seen."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from moorage_cli.control_plane import ControlPlane
from moorage_cluster.apply import (
    apply,
    apply_if_needed,
    apply_status_if_needed,
    needs_apply,
    needs_apply_status,
)
from moorage_cluster.errors import ConflictError, InvalidError
from moorage_cluster.ownership import is_empty
from moorage_cluster.session import ApiSession
from moorage_crds.names import DEPLOYMENTS
from moorage_policies.errors import BadInputError

pytestmark = pytest.mark.control_plane

MANAGER = "moorage-test"
SELECTOR = {"app": "web"}


def deployment(namespace: str, **container: Any) -> dict[str, Any]:
    """A manifest with everything whose stored form differs from what is sent."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace, "labels": SELECTOR, "annotations": {}},
        "spec": {
            "replicas": 0,
            "paused": None,
            "selector": {"matchLabels": SELECTOR},
            "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": SELECTOR},
                "spec": {
                    "containers": [
                        {
                            "name": "web",
                            "image": "example.test/web",
                            "args": ["--port", "80"],
                            "ports": [{"containerPort": 80}, {"containerPort": 81}],
                            "env": [{"name": "A", "value": ""}, {"name": "B", "value": "1000m"}],
                            "resources": {
                                "requests": {"cpu": "1000m", "memory": "1024Mi"},
                                "limits": {"nvidia.com/gpu": 1},
                            },
                            "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
                            **container,
                        }
                    ],
                    "volumes": [{"name": "shm", "emptyDir": {}}],
                    "tolerations": [{"key": "gpu", "operator": "Exists"}],
                    "nodeSelector": {"gpu": "yes"},
                    "affinity": {
                        "nodeAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": {
                                "nodeSelectorTerms": [
                                    {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
                                ]
                            }
                        }
                    },
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1,
                            "topologyKey": "zone",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": {"matchLabels": SELECTOR},
                        }
                    ],
                },
            },
        },
    }


def service(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "clusterIP": "None",
            "selector": SELECTOR,
            "ports": [
                {"name": "http", "port": 80, "targetPort": "http"},
                {"name": "x", "port": 81},
            ],
        },
    }


def budget(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": "web",
            "namespace": namespace,
            "finalizers": ["example.test/hold"],
        },
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": SELECTOR},
        },
    }


def ours(item: dict[str, Any]) -> dict[str, Any]:
    """Metadata with our own managedFields entry alone, its time included."""
    metadata: dict[str, Any] = item["metadata"]
    mine = [entry for entry in metadata["managedFields"] if entry["manager"] == MANAGER]
    assert len(mine) == 1
    return {**metadata, "managedFields": mine}


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(deployment, id="deployment"),
        pytest.param(service, id="headless-service"),
        pytest.param(budget, id="budget-with-a-finalizer"),
    ],
)
async def test_what_was_just_applied_needs_no_apply(
    session: ApiSession, namespace: str, make: Any
) -> None:
    manifest = make(namespace)
    first = await apply(session, manifest, MANAGER)
    assert first.changed
    assert not needs_apply(first.item, manifest, MANAGER)
    again = await apply(session, manifest, MANAGER)
    # not the resourceVersion: the Deployment's controller has written a status meanwhile
    for key in ("generation", "managedFields"):
        assert ours(again.item).get(key) == ours(first.item).get(key)
    again = await apply_if_needed(session, first.item, manifest, MANAGER)
    assert (again.item, again.changed) == (first.item, False)
    if manifest["metadata"].get("finalizers"):
        resource = await session.kinds.find(manifest["apiVersion"], manifest["kind"])
        path = resource.path(namespace, "web")
        await session.patch(path, {"metadata": {"finalizers": None}})


def change_annotation(item: dict[str, Any]) -> None:
    item["metadata"]["annotations"].clear()


def change_replicas(item: dict[str, Any]) -> None:
    item["spec"]["replicas"] = 1


def change_image(item: dict[str, Any]) -> None:
    item["spec"]["template"]["spec"]["containers"][0]["image"] = "example.test/other"


def change_quantity(item: dict[str, Any]) -> None:
    resources = item["spec"]["template"]["spec"]["containers"][0]["resources"]
    resources["requests"]["cpu"] = "2"


def change_atomic_list(item: dict[str, Any]) -> None:
    item["spec"]["template"]["spec"]["containers"][0]["args"] = ["--port", "81"]


def drop_port(item: dict[str, Any]) -> None:
    item["spec"]["template"]["spec"]["containers"][0]["ports"].pop()


def drop_label(item: dict[str, Any]) -> None:
    item["metadata"]["labels"].clear()


def drop_tolerations(item: dict[str, Any]) -> None:
    del item["spec"]["template"]["spec"]["tolerations"]


def drop_volume_and_mount(item: dict[str, Any]) -> None:
    del item["spec"]["template"]["spec"]["volumes"]
    del item["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]


@pytest.mark.parametrize(
    "vandalise",
    [
        change_annotation,
        change_replicas,
        change_image,
        change_quantity,
        change_atomic_list,
        drop_port,
        drop_label,
        drop_tolerations,
        drop_volume_and_mount,
    ],
)
async def test_what_others_change_is_seen_and_put_back(
    session: ApiSession, namespace: str, vandalise: Any
) -> None:
    manifest = deployment(namespace)
    ours = (await apply(session, manifest, MANAGER)).item
    theirs = copy.deepcopy(ours)
    vandalise(theirs)
    theirs["metadata"].pop("resourceVersion")
    theirs = await session.replace(DEPLOYMENTS.path(namespace, "web"), theirs)
    assert needs_apply(theirs, manifest, MANAGER)
    healed = await apply_if_needed(session, theirs, manifest, MANAGER)
    assert healed.changed
    assert healed.item["spec"] == ours["spec"]
    assert not needs_apply(healed.item, manifest, MANAGER)


async def test_a_scale_through_the_subresource_is_seen(session: ApiSession, namespace: str) -> None:
    manifest = deployment(namespace)
    await apply(session, manifest, MANAGER)
    path = DEPLOYMENTS.path(namespace, "web")
    await session.patch(f"{path}/scale", {"spec": {"replicas": 3}})
    assert needs_apply(await session.get_json(path), manifest, MANAGER)


async def test_what_others_add_beside_ours_is_left_alone(
    session: ApiSession, namespace: str
) -> None:
    manifest = deployment(namespace)
    await apply(session, manifest, MANAGER)
    path = DEPLOYMENTS.path(namespace, "web")
    foreign = {"metadata": {"labels": {"team": "blue"}}, "spec": {"minReadySeconds": 5}}
    live = await session.patch(path, foreign)
    assert not needs_apply(live, manifest, MANAGER)


async def test_a_field_left_out_is_removed(session: ApiSession, namespace: str) -> None:
    live = (await apply(session, deployment(namespace), MANAGER)).item
    smaller = deployment(namespace, args=None)
    assert needs_apply(live, smaller, MANAGER)
    after = (await apply_if_needed(session, live, smaller, MANAGER)).item
    assert "args" not in after["spec"]["template"]["spec"]["containers"][0]
    assert not needs_apply(after, smaller, MANAGER)


async def test_without_force_another_managers_field_is_a_conflict(
    session: ApiSession, namespace: str
) -> None:
    await apply(session, service(namespace), "somebody-else")
    other = service(namespace)
    other["spec"]["selector"] = {"app": "other"}
    with pytest.raises(ConflictError, match="somebody-else"):
        await apply(session, other, MANAGER, force=False)
    taken = await apply(session, other, MANAGER)
    assert taken.item["spec"]["selector"] == {"app": "other"}


async def test_a_manifest_that_the_server_refuses_names_the_field(
    session: ApiSession, namespace: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        await apply(session, deployment(namespace, imagePullPolicy="Perhaps"), MANAGER)
    assert caught.value.field == "spec.template.spec.containers[0].imagePullPolicy"
    with pytest.raises(InvalidError, match="not declared") as caught:
        await apply(session, deployment(namespace, unknown=1), MANAGER)
    assert caught.value.field == 'spec.template.spec.containers[name="web"].unknown'


async def test_a_manifest_without_its_namespace_is_refused_before_any_call(
    session: ApiSession,
) -> None:
    manifest = service("")
    with pytest.raises(BadInputError, match=r"metadata\.namespace"):
        await apply(session, manifest, MANAGER)


STATUS_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "berths.example.test"},
    "spec": {
        "group": "example.test",
        "scope": "Namespaced",
        "names": {"plural": "berths", "singular": "berth", "kind": "Berth"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "status": {
                                "type": "object",
                                "properties": {
                                    "placed": {"type": "integer"},
                                    "note": {"type": "string"},
                                    "nodes": {"type": "array", "items": {"type": "string"}},
                                    "byRole": {
                                        "type": "object",
                                        "additionalProperties": {"type": "integer"},
                                    },
                                    "conditions": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["type"],
                                        "items": {
                                            "type": "object",
                                            "required": ["type"],
                                            "properties": {
                                                "type": {"type": "string"},
                                                "status": {"type": "string"},
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture
def berths(control_plane: ControlPlane) -> None:
    control_plane.api.apply(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/berths.example.test", STATUS_CRD
    )
    control_plane.kubectl("wait", "--for=condition=Established", "crd/berths.example.test")


def berth(namespace: str, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "example.test/v1",
        "kind": "Berth",
        "metadata": {"name": "b", "namespace": namespace},
        "status": status,
    }


@pytest.mark.usefixtures("berths")
async def test_a_status_is_written_when_it_changes_and_only_then(
    session: ApiSession, namespace: str
) -> None:
    ready = {"type": "Ready", "status": "True"}
    placed = {"type": "Placed", "status": "False"}
    full = berth(
        namespace,
        placed=0,
        note="",
        nodes=["a", "b"],
        byRole={"decode": 2, "prefill": 1},
        conditions=[ready, placed],
    )
    live = (await apply(session, full, MANAGER)).item
    for status in (
        full["status"],
        {**full["status"], "placed": 3},
        {**full["status"], "nodes": ["b", "a"]},
        {**full["status"], "nodes": []},
        {**full["status"], "byRole": {"decode": 2}},
        {**full["status"], "conditions": [placed]},
        {"placed": None, "note": "x"},
        full["status"],
    ):
        wanted = berth(namespace, **status)
        assert needs_apply_status(live, wanted, MANAGER)
        written = await apply_status_if_needed(session, live, wanted, MANAGER)
        assert written.changed
        live = written.item
        kept = {key: value for key, value in status.items() if value is not None}
        assert live["status"] == kept
        again = await apply_status_if_needed(session, live, wanted, MANAGER)
        assert (again.item, again.changed) == (live, False)


@pytest.mark.usefixtures("berths")
async def test_an_empty_status_is_written_once(session: ApiSession, namespace: str) -> None:
    wanted = berth(namespace, placed=1, conditions=[{"type": "Ready"}])
    live = (await apply(session, wanted, MANAGER)).item
    empty = berth(namespace, placed=None, conditions=[], byRole={})
    assert not needs_apply_status(live, empty, MANAGER)
    live = (await apply_status_if_needed(session, live, wanted, MANAGER)).item
    assert needs_apply_status(live, empty, MANAGER)
    live = (await apply_status_if_needed(session, live, empty, MANAGER)).item
    assert is_empty(live.get("status", {}))
    assert not needs_apply_status(live, empty, MANAGER)


@pytest.mark.usefixtures("berths")
async def test_a_foreign_condition_is_left_alone_and_a_forged_one_is_put_right(
    session: ApiSession, namespace: str
) -> None:
    ready = {"type": "Ready", "status": "True"}
    wanted = berth(namespace, conditions=[ready])
    live = (await apply(session, wanted, MANAGER)).item
    live = (await apply_status_if_needed(session, live, wanted, MANAGER)).item
    path = f"/apis/example.test/v1/namespaces/{namespace}/berths/b/status"
    foreign = {"type": "Foreign", "status": "Unknown"}
    live = await session.patch(path, {"status": {"conditions": [foreign, ready]}})
    assert not needs_apply_status(live, wanted, MANAGER)
    forged = {**ready, "status": "False"}
    live = await session.patch(path, {"status": {"conditions": [foreign, forged]}})
    healed = (await apply_status_if_needed(session, live, wanted, MANAGER)).item
    assert ready in healed["status"]["conditions"]
    assert foreign in healed["status"]["conditions"]
