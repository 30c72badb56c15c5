"""Kubernetes objects as decisions see them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_crds.convert import to_budget, to_node, to_pod
from moorage_crds.objects import (
    DeploymentObject,
    LabelSelectorObject,
    NodeObject,
    PodDisruptionBudgetObject,
    PodObject,
)
from moorage_crds.selectors import to_selector
from moorage_policies.matching import requirement_matches, selector_matches
from moorage_policies.types import (
    NO_AFFINITY,
    Affinity,
    DisruptionBudget,
    LabelSelector,
    Node,
    NodeSelectorTerm,
    Owner,
    Pod,
    PodAffinityTerm,
    PreferredNodeTerm,
    PreferredPodTerm,
    Requirement,
    Taint,
    Toleration,
    TopologySpread,
)

RECORDED = json.loads((Path(__file__).parent / "data" / "recorded.json").read_text())
Raw = dict[str, Any]


def pod_of(spec: Raw | None = None, metadata: Raw | None = None, status: Raw | None = None) -> Pod:
    body = {"metadata": metadata or {}, "spec": spec or {}, "status": status or {}}
    return to_pod(msgspec.json.decode(json.dumps(body), type=PodObject))


def test_a_pod_as_kube_scheduler_sent_it() -> None:
    pod = to_pod(msgspec.json.decode(json.dumps(RECORDED["pod"]), type=PodObject))
    assert pod == Pod(
        uid="d4e12a57-ab0b-4c15-bd06-cddde518a685",
        namespace="default",
        name="low0",
        priority=10,
        priority_class="low",
        requests={"cpu": 100, "memory": 64 * 2**20, "nvidia.com/gpu": 8},
        tolerations=(
            Toleration("node.kubernetes.io/not-ready", "Exists", "", "NoExecute"),
            Toleration("node.kubernetes.io/unreachable", "Exists", "", "NoExecute"),
        ),
        images=("fake",),
        created_s=datetime(2026, 11, 21, 9, 43, 22, tzinfo=UTC).timestamp(),
    )


def test_a_node_as_kube_scheduler_sent_it() -> None:
    node = to_node(msgspec.json.decode(json.dumps(RECORDED["node"]), type=NodeObject))
    assert node == Node(
        name="gpu-0001",
        uid="37664cb0-61ea-4855-bdcd-e0ca892551c7",
        labels=RECORDED["node"]["metadata"]["labels"],
        allocatable={
            "cpu": 64_000,
            "memory": 512 * 2**30,
            "ephemeral-storage": 2**40,
            "nvidia.com/gpu": 8,
            "pods": 110,
        },
        created_s=datetime(2026, 11, 21, 9, 43, 17, tzinfo=UTC).timestamp(),
    )


def test_a_running_pod() -> None:
    pod = pod_of(
        spec={
            "nodeName": "n1",
            "schedulerName": "moorage-scheduler",
            "preemptionPolicy": "Never",
            "initContainers": [{"name": "i", "image": "setup"}],
            "containers": [{"name": "c", "image": "engine"}],
            "nodeSelector": {"zone": "a"},
            "schedulingGates": [{"name": "g"}],
        },
        metadata={
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [
                {"kind": "Other", "name": "o", "uid": "1"},
                {"kind": "ReplicaSet", "name": "r", "uid": "2", "controller": True},
            ],
            "annotations": {
                "moorage.dev/hint": "near the store",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
            },
        },
        status={
            "phase": "Running",
            "startTime": "1970-01-01T00:01:00Z",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    )
    assert pod.node == "n1"
    assert pod.scheduler == "moorage-scheduler"
    assert pod.preemption == "Never"
    assert pod.images == ("setup", "engine")
    assert pod.node_selector == {"zone": "a"}
    assert pod.gates == ("g",)
    assert pod.terminating
    assert pod.owner == Owner("ReplicaSet", "r", "2")
    assert pod.annotations == {"moorage.dev/hint": "near the store"}
    assert (pod.phase, pod.ready, pod.started_s) == ("Running", True, 60.0)


@pytest.mark.parametrize(
    ("conditions", "unschedulable"),
    [
        pytest.param([], False, id="not-tried"),
        pytest.param([("PodScheduled", "False", "Unschedulable")], True, id="no-room"),
        pytest.param([("PodScheduled", "False", "SchedulingGated")], False, id="gated"),
        pytest.param([("PodScheduled", "True", "")], False, id="bound"),
    ],
)
def test_unschedulable(conditions: list[tuple[str, str, str]], unschedulable: bool) -> None:
    listed = [{"type": t, "status": s, "reason": r} for t, s, r in conditions]
    pod = pod_of(status={"conditions": listed, "nominatedNodeName": "n2"})
    assert pod.unschedulable is unschedulable
    assert pod.nominated_node == "n2"


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
TERM = {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "zone"}
SELECTOR = LabelSelector((Requirement("app", "In", ("x",)),))


def test_node_affinity() -> None:
    terms = [
        {
            "matchExpressions": [{"key": "gpu", "operator": "Gt", "values": ["4"]}],
            "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}],
        }
    ]
    preferred = [
        {"weight": 7, "preference": {"matchExpressions": [{"key": "ssd", "operator": "Exists"}]}}
    ]
    node = {REQUIRED: {"nodeSelectorTerms": terms}, PREFERRED: preferred}
    assert pod_of({"affinity": {"nodeAffinity": node}}).affinity == Affinity(
        required_node_terms=(
            NodeSelectorTerm(
                (Requirement("gpu", "Gt", ("4",)),), (Requirement("metadata.name", "In", ("n1",)),)
            ),
        ),
        preferred_node_terms=(
            PreferredNodeTerm(7, NodeSelectorTerm((Requirement("ssd", "Exists"),))),
        ),
    )


def test_pod_affinity_and_anti_affinity() -> None:
    weighted = [{"weight": 3, "podAffinityTerm": {**TERM, "namespaces": ["a"]}}]
    affinity = {
        "podAffinity": {REQUIRED: [{**TERM, "namespaceSelector": {}}], PREFERRED: weighted},
        "podAntiAffinity": {REQUIRED: [{"topologyKey": "host"}], PREFERRED: weighted},
    }
    near = PreferredPodTerm(3, PodAffinityTerm("zone", SELECTOR, namespaces=("a",)))
    assert pod_of({"affinity": affinity}).affinity == Affinity(
        required_pod_affinity=(PodAffinityTerm("zone", SELECTOR, all_namespaces=True),),
        preferred_pod_affinity=(near,),
        required_pod_anti_affinity=(PodAffinityTerm("host", None),),
        preferred_pod_anti_affinity=(near,),
    )


def test_no_affinity_costs_nothing() -> None:
    assert pod_of().affinity is NO_AFFINITY
    assert pod_of({"affinity": {}}).affinity == NO_AFFINITY


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param({}, Toleration(), id="tolerates-nothing-by-name"),
        pytest.param({"operator": "Exists"}, Toleration(operator="Exists"), id="tolerates-all"),
        pytest.param(
            {"key": "k", "value": "v", "effect": "NoSchedule"},
            Toleration("k", "Equal", "v", "NoSchedule"),
            id="equal-is-the-default",
        ),
        pytest.param(
            {"key": "k", "operator": "Gt", "value": "5"}, Toleration("k", "Gt", "5"), id="compares"
        ),
    ],
)
def test_tolerations(raw: Raw, expected: Toleration) -> None:
    assert pod_of({"tolerations": [raw]}).tolerations == (expected,)


SPREAD = {"topologyKey": "zone", "maxSkew": 2, "labelSelector": {"matchLabels": {"app": "x"}}}
OWN = Requirement("rev", "In", ("7",))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(
            {**SPREAD, "whenUnsatisfiable": "DoNotSchedule"},
            TopologySpread("zone", 2, hard=True, selector=SELECTOR),
            id="hard-with-defaults",
        ),
        pytest.param(
            {
                **SPREAD,
                "whenUnsatisfiable": "ScheduleAnyway",
                "minDomains": 3,
                "nodeAffinityPolicy": "Ignore",
                "nodeTaintsPolicy": "Honor",
            },
            TopologySpread(
                "zone",
                2,
                hard=False,
                selector=SELECTOR,
                min_domains=3,
                honor_node_affinity=False,
                honor_node_taints=True,
            ),
            id="soft-with-policies",
        ),
        pytest.param(
            {**SPREAD, "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["rev", "absent"]},
            TopologySpread("zone", 2, True, LabelSelector((*SELECTOR.requirements, OWN))),
            id="own-labels-join-the-selector",
        ),
        pytest.param(
            {
                **SPREAD,
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {
                    "matchExpressions": [{"key": "rev", "operator": "In", "values": ["7"]}]
                },
                "matchLabelKeys": ["rev"],
            },
            TopologySpread("zone", 2, True, LabelSelector((OWN,))),
            id="already-joined-by-the-api-server",
        ),
        pytest.param(
            {
                "topologyKey": "zone",
                "maxSkew": 1,
                "whenUnsatisfiable": "DoNotSchedule",
                "matchLabelKeys": ["rev"],
            },
            TopologySpread("zone", 1, True, None),
            id="no-selector-matches-nothing-whatever-the-keys",
        ),
    ],
)
def test_topology_spread(raw: Raw, expected: TopologySpread) -> None:
    pod = pod_of({"topologySpreadConstraints": [raw]}, metadata={"labels": {"rev": "7"}})
    assert pod.spread == (expected,)


def affine(term: Raw) -> Raw:
    return {"affinity": {"podAntiAffinity": {REQUIRED: [{**TERM, **term}]}}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"volumes": [{"name": "v", "emptyDir": {}}]}, (), id="empty-dir"),
        pytest.param({"volumes": [{"name": "v", "projected": {"sources": []}}]}, (), id="token"),
        pytest.param(
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
            ("PersistentVolumeClaim",),
            id="claim",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "ephemeral": {}}, {"name": "w", "ephemeral": {}}]},
            ("PersistentVolumeClaim",),
            id="ephemeral-claims-once",
        ),
        *(
            pytest.param({"volumes": [{"name": "v", source: {}}]}, ("AttachedVolume",), id=source)
            for source in (
                "csi",
                "gcePersistentDisk",
                "awsElasticBlockStore",
                "azureDisk",
                "cinder",
                "iscsi",
                "rbd",
            )
        ),
        pytest.param({"resourceClaims": [{"name": "gpu"}]}, ("ResourceClaim",), id="dra-claim"),
        pytest.param(
            {"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]},
            ("HostPort",),
            id="host-port",
        ),
        pytest.param(
            {"containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}, (), id="pod-port"
        ),
        pytest.param({"schedulingGroup": {"podGroupName": "g"}}, ("PodGroup",), id="pod-group"),
        pytest.param({"workloadRef": {"name": "w"}}, ("PodGroup",), id="workload"),
        pytest.param(affine({"namespaceSelector": {}}), (), id="all-namespaces"),
        pytest.param(
            affine({"namespaceSelector": {"matchLabels": {"team": "a"}}}),
            ("NamespaceSelector",),
            id="some-namespaces",
        ),
        pytest.param(
            {
                "volumes": [{"name": "v", "persistentVolumeClaim": {}}],
                "resourceClaims": [{"name": "gpu"}],
            },
            ("PersistentVolumeClaim", "ResourceClaim"),
            id="several",
        ),
    ],
)
def test_what_is_not_modelled_is_named(spec: Raw, expected: tuple[str, ...]) -> None:
    assert pod_of(spec).unsupported == expected


def test_devices_behind_an_extended_resource_are_a_claim() -> None:
    pod = pod_of(status={"extendedResourceClaimStatus": {"resourceClaimName": "x"}})
    assert pod.unsupported == ("ResourceClaim",)


EXPRESSION = {"key": "gpu", "operator": "Like", "values": ["H*"]}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"tolerations": [{"key": "k", "operator": "Like"}]}, id="toleration"),
        pytest.param({"tolerations": [{"key": "k", "effect": "NoStay"}]}, id="effect"),
        pytest.param(
            {
                "affinity": {
                    "nodeAffinity": {
                        REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [EXPRESSION]}]}
                    }
                }
            },
            id="required-node-term",
        ),
        pytest.param(
            {
                "affinity": {
                    "nodeAffinity": {
                        PREFERRED: [{"weight": 1, "preference": {"matchExpressions": [EXPRESSION]}}]
                    }
                }
            },
            id="preferred-node-term",
        ),
        pytest.param(affine({"labelSelector": {"matchExpressions": [EXPRESSION]}}), id="pod-term"),
        pytest.param(
            {
                "topologySpreadConstraints": [
                    {
                        **SPREAD,
                        "whenUnsatisfiable": "DoNotSchedule",
                        "labelSelector": {"matchExpressions": [EXPRESSION]},
                    }
                ]
            },
            id="spread",
        ),
    ],
)
def test_words_of_a_later_kubernetes_are_read_strictly_and_named(spec: Raw) -> None:
    pod = pod_of(spec, status={"phase": "Hibernating"})
    assert pod.unsupported == ("UnknownWord",)
    assert pod.phase == "Unknown"
    assert pod.tolerations == ()
    written = [r for term in pod.affinity.required_node_terms for r in term.expressions]
    assert not any(requirement_matches(r, {"gpu": "H*"}) for r in written)


def test_an_unknown_taint_keeps_pods_away() -> None:
    body = {"spec": {"taints": [{"key": "k", "effect": "NoStay"}]}}
    node = to_node(msgspec.json.decode(json.dumps(body), type=NodeObject))
    assert node.taints == (Taint("k", "", "NoSchedule"),)


def test_a_node_with_everything() -> None:
    body = {
        "metadata": {"name": "n"},
        "spec": {
            "unschedulable": True,
            "taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
        },
        "status": {
            "conditions": [{"type": "Ready", "status": "Unknown"}],
            "images": [{"names": ["a", "b"], "sizeBytes": 5}, {"names": None, "sizeBytes": 9}],
        },
    }
    node = to_node(msgspec.json.decode(json.dumps(body), type=NodeObject))
    assert node == Node(
        name="n",
        taints=(Taint("gpu", "yes", "NoSchedule"),),
        unschedulable=True,
        ready=False,
        allocatable={"pods": 0},
        images={"a": 5, "b": 5},
    )


def test_a_budget() -> None:
    body = {
        "metadata": {"name": "b", "namespace": "ns"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "x"}}},
        "status": {"disruptionsAllowed": 1, "disruptedPods": {"p1": "2026-01-01T00:00:00Z"}},
    }
    budget = to_budget(msgspec.json.decode(json.dumps(body), type=PodDisruptionBudgetObject))
    assert budget == DisruptionBudget("ns", "b", SELECTOR, 1, frozenset({"p1"}))


def test_a_deployment_is_read() -> None:
    body = {"spec": {"replicas": 0}, "status": {"readyReplicas": 2, "terminatingReplicas": 1}}
    deployment = msgspec.json.decode(json.dumps(body), type=DeploymentObject)
    assert deployment.spec.replicas == 0
    assert deployment.status.ready_replicas == 2
    assert deployment.status.terminating_replicas == 1


words = st.sampled_from(["a", "b", "c"])
labels = st.dictionaries(words, words, max_size=3)


@given(labels, labels)
def test_match_labels_match_the_supersets(wanted: dict[str, str], have: dict[str, str]) -> None:
    selector = to_selector(LabelSelectorObject(match_labels=wanted))
    assert selector_matches(selector, have) == (wanted.items() <= have.items())
