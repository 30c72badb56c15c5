"""What the real API server takes and refuses, with the message that users get."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from moorage_cli.control_plane.api import ApiClient
from moorage_cli.control_plane.errors import RequestRefusedError
from moorage_crds.names import PLANS, POLICIES, POOLS, ROLES, ApiResource
from moorage_crds.render import MODELS, crd_manifests

DATA = Path(__file__).parent / "data"
FULL = {
    resource: yaml.safe_load((DATA / f"{name}.yaml").read_text())
    for resource, name in ((POOLS, "pool"), (ROLES, "role"), (PLANS, "plan"), (POLICIES, "policy"))
}
GONE = object()
Edits = dict[str, Any]


def edited(resource: ApiResource, edits: Edits) -> dict[str, Any]:
    """Return the full manifest with each path set to its value, or taken out."""
    manifest: dict[str, Any] = copy.deepcopy(FULL[resource])
    for path, value in edits.items():
        *parents, last = [int(p) if p.isdigit() else p for p in re.split(r"[.\[\]]+", path) if p]
        node: Any = manifest
        for key in parents:
            node = node[key]
        if value is GONE:
            del node[last]
        elif isinstance(node, list) and last == len(node):
            node.append(value)
        else:
            node[last] = value
    return manifest


def create(api: ApiClient, resource: ApiResource, manifest: dict[str, Any]) -> dict[str, Any]:
    path = resource.path(manifest["metadata"].get("namespace", ""))
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    answer: dict[str, Any] = yaml.safe_load(api.raw("POST", path, query=query, body=manifest))
    return answer


def refusal(api: ApiClient, resource: ApiResource, edits: Edits) -> str:
    with pytest.raises(RequestRefusedError) as refused:
        create(api, resource, edited(resource, edits))
    assert refused.value.status == 422
    return str(refused.value)


EXTERNAL: Edits = {
    "spec.scaling": {
        "mode": "External",
        "bounds": [{"role": "decode", "maxReplicas": 9}],
    }
}


def _external(field: str, value: object) -> Any:
    edits = copy.deepcopy(EXTERNAL) | {f"spec.scaling.{field}": value}
    message = (
        "is for mode Internal only; remove it or set mode to Internal"
        if field == "manualFloorSeconds"
        else "needs a target in mode External; set target to have counts worked out and shown, or "
        "remove it"
    )
    return pytest.param(POOLS, edits, f"spec.scaling.{field}", message, id=f"external-{field}")


REFUSED = [
    pytest.param(
        POOLS,
        {"metadata.name": "p" * 41},
        "",
        "metadata.name is too long: use at most 40 characters, so that the names of the pool's "
        "Services stay within 63",
        id="pool-name-too-long",
    ),
    pytest.param(
        POOLS,
        {"metadata.name": "70b.llama"},
        "",
        "metadata.name must be usable in a Service's name: start with a letter, then lower case "
        "letters, digits and dashes only",
        id="pool-name-no-service-name",
    ),
    pytest.param(
        POOLS,
        {"spec.roles[1].name": "decodes", "spec.scaling": GONE},
        "spec.roles",
        "has one of prefill and decode without the other; add the missing role or give a single "
        "role another name",
        id="prefill-without-decode",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.bounds[1].role": "server"},
        "spec.scaling.bounds",
        "names a role that the pool does not have; write a name of spec.roles",
        id="bounds-of-no-role",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.ratio.numerator": "server"},
        "spec.scaling.ratio.numerator",
        "names a role that the pool does not have; write a name of spec.roles",
        id="ratio-numerator-of-no-role",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.ratio.denominator": "server"},
        "spec.scaling.ratio.denominator",
        "names a role that the pool does not have; write a name of spec.roles",
        id="ratio-denominator-of-no-role",
    ),
    pytest.param(
        POOLS,
        {"spec.roles[1].replicas": 25},
        "spec.roles",
        "has replicas outside the role's bounds; change replicas or spec.scaling.bounds, or leave "
        "replicas out",
        id="replicas-above-bounds",
    ),
    pytest.param(
        POOLS,
        {"spec.roles[1].replicas": 0},
        "spec.roles",
        "has replicas outside the role's bounds; change replicas or spec.scaling.bounds, or leave "
        "replicas out",
        id="replicas-below-bounds",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.signal": "RunningRequests", "spec.scaling.metric": GONE},
        "spec.scaling.metric",
        "is needed with engine custom, whose metrics are not known; name the metric and set signal "
        "to Custom",
        id="custom-engine-without-metric",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.signal": "RunningRequests"},
        "spec.scaling.metric",
        "goes with signal Custom, and only with it; add the metric's name or change the signal",
        id="metric-with-another-signal",
    ),
    pytest.param(
        POOLS,
        {"spec.roles[1].template": GONE},
        "spec.roles[1].template",
        "must have spec.containers unless the template of every accelerator has them",
        id="role-without-template",
    ),
    pytest.param(
        POOLS,
        {"spec.roles[1].template.spec": {"terminationGracePeriodSeconds": 30}},
        "spec.roles[1].template",
        "must have spec.containers unless the template of every accelerator has them",
        id="template-without-containers",
    ),
    pytest.param(
        POOLS,
        {"spec.roles[0].migration.strategy": "SurgeFirst"},
        "spec.roles[0].migration.strategy",
        "cannot be SurgeFirst where nodesPerReplica is above 1, since a set of groups can only "
        "drop the one of highest index; write EvictFirst or Never",
        id="surge-of-a-group",
    ),
    pytest.param(
        POOLS,
        {"spec.roles[0].template.spec.nodeName": "node-1"},
        "spec.roles[0].template.spec.nodeName",
        "binds past every scheduler; remove it and use nodeSelector or affinity",
        id="template-with-node-name",
    ),
    pytest.param(
        POOLS,
        {"spec.roles[0].template.spec.priorityClassName": "other"},
        "spec.roles[0].template.spec.priorityClassName",
        "would differ from the pool's; remove it and set spec.priorityClassName of the pool",
        id="template-with-priority-class",
    ),
    pytest.param(
        POOLS,
        {"spec.roles[0].template.spec.restartPolicy": "Never"},
        "spec.roles[0].template.spec.restartPolicy",
        "must be Always for a server; remove it",
        id="template-that-ends",
    ),
    pytest.param(
        POOLS,
        {"spec.topology": {}},
        "spec.topology",
        "is empty; set required, preferred or both to a node label",
        id="empty-topology",
    ),
    pytest.param(
        POOLS,
        {"spec.topology.preferred": "topology.kubernetes.io/zone"},
        "spec.topology.preferred",
        "must name another label than required; a required domain is kept anyway",
        id="preferred-is-required",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.ratio.min": "0.6"},
        "spec.scaling.ratio.min",
        "must be at most max; lower it or raise max",
        id="ratio-min-above-max",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.ratio.min": "0", "spec.scaling.ratio.max": "0.0"},
        "spec.scaling.ratio.max",
        "must be above 0; raise it",
        id="ratio-max-zero",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.ratio.denominator": "prefill"},
        "spec.scaling.ratio.denominator",
        "must name another role than numerator",
        id="ratio-of-one-role",
    ),
    pytest.param(
        POOLS,
        # at most 0.5 * 24 = 12 prefill replicas, at least 13
        {
            "spec.scaling.bounds[1]": {"role": "prefill", "minReplicas": 13, "maxReplicas": 20},
            "spec.roles[0].replicas": GONE,
        },
        "spec.scaling.ratio",
        "cannot be kept by any counts within bounds; widen the ratio or the roles' bounds",
        id="ratio-below-bounds",
    ),
    pytest.param(
        POOLS,
        # at least 0.25 * 12 = 3 prefill replicas, at most 2
        {
            "spec.scaling.bounds[0].minReplicas": 12,
            "spec.scaling.bounds[1].maxReplicas": 2,
            "spec.roles[1].replicas": GONE,
        },
        "spec.scaling.ratio",
        "cannot be kept by any counts within bounds; widen the ratio or the roles' bounds",
        id="ratio-above-bounds",
    ),
    pytest.param(
        POOLS,
        # one replica of each: 8 GPUs on 2 nodes, and 4
        {"spec.maxGpus": 19},
        "spec.maxGpus",
        "is less than what one replica of each role takes; raise it",
        id="limit-below-one-replica-each",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.sla": {}},
        "spec.scaling.sla",
        "is empty; set ttftMs, itlMs or both",
        id="empty-sla",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.bounds[0].minReplicas": 25, "spec.roles[1].replicas": GONE},
        "spec.scaling.bounds[0].minReplicas",
        "must be at most maxReplicas; lower it or raise maxReplicas",
        id="min-above-max",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.target": GONE},
        "spec.scaling.target",
        "is needed in mode Internal: say how much of the signal one replica should carry, for "
        'example "1800"',
        id="internal-without-target",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.target": 0},
        "spec.scaling.target",
        'must be above 0; write the load that one replica should carry, for example "1800"',
        id="target-zero",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.target": "0.00"},
        "spec.scaling.target",
        'must be above 0; write the load that one replica should carry, for example "1800"',
        id="target-zero-as-text",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.schedules[0].role": "prefil"},
        "spec.scaling.schedules",
        "names a role without bounds; add the role to bounds or correct the name",
        id="schedule-of-no-bounds",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.schedules[0].minReplicas": 25},
        "spec.scaling.schedules",
        "asks for more replicas than the role's maxReplicas; lower minReplicas of the schedule or "
        "raise maxReplicas in bounds",
        id="schedule-above-max",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.schedules[0].endTime": "08:00"},
        "spec.scaling.schedules[0].endTime",
        "must differ from startTime; for a whole day write 00:00 to 23:59",
        id="schedule-of-no-length",
    ),
    _external("signal", "RunningRequests"),
    _external("metric", {"name": "tokens_total"}),
    _external("ratio", {"numerator": "prefill", "denominator": "decode", "min": "1", "max": "2"}),
    _external("sla", {"ttftMs": 1}),
    _external("standby", 0),
    _external("manualFloorSeconds", 60),
    _external(
        "schedules",
        [
            {
                "name": "d",
                "role": "decode",
                "startTime": "01:00",
                "endTime": "02:00",
                "minReplicas": 1,
            }
        ],
    ),
    pytest.param(
        PLANS,
        {"spec.moves[0].from": GONE},
        "spec.moves[0].from",
        "is for Move and Evict, which need it; a pod to Place sits nowhere yet",
        id="move-from-nowhere",
    ),
    pytest.param(
        PLANS,
        {"spec.moves[2].from": "node-3"},
        "spec.moves[2].from",
        "is for Move and Evict, which need it; a pod to Place sits nowhere yet",
        id="place-from-a-node",
    ),
    pytest.param(
        PLANS,
        {"spec.moves[0].to": GONE},
        "spec.moves[0].to",
        "is for Place and Move, which need it; an evicted pod goes nowhere",
        id="move-to-nowhere",
    ),
    pytest.param(
        PLANS,
        {"spec.moves[1].to": "node-3"},
        "spec.moves[1].to",
        "is for Place and Move, which need it; an evicted pod goes nowhere",
        id="evict-to-a-node",
    ),
    pytest.param(
        PLANS,
        {"spec.moves[0].to": "node-1"},
        "spec.moves[0].to",
        "must be another node than from",
        id="move-in-place",
    ),
    pytest.param(
        PLANS,
        {"spec.moves[1].strategy": "EvictFirst"},
        "spec.moves[1].strategy",
        "is for Move only; remove it",
        id="strategy-of-an-eviction",
    ),
    pytest.param(
        PLANS,
        {"spec.moves[1].follows": 0},
        "spec.moves[1].follows",
        "is for Move only; remove it",
        id="eviction-that-follows",
    ),
    pytest.param(
        PLANS,
        {"spec.moves[0].from": "node-9"},
        "spec.moves",
        "may follow only a move of an earlier step that ends where it begins",
        id="follows-a-move-to-another-node",
    ),
    pytest.param(
        PLANS,
        {"spec.moves[0].step": 0},
        "spec.moves",
        "may follow only a move of an earlier step that ends where it begins",
        id="follows-a-move-of-its-own-step",
    ),
    pytest.param(
        PLANS,
        {"spec.certificate.status": "Infeasible"},
        "spec.moves",
        "must be empty in an Infeasible plan",
        id="infeasible-with-moves",
    ),
    pytest.param(
        POLICIES,
        {"metadata.name": "mine"},
        "",
        "a cluster has one policy; set metadata.name to default",
        id="second-policy",
    ),
    pytest.param(
        POLICIES,
        {"spec.defragmentation": {"trigger": "Schedule"}},
        "spec.defragmentation.windows",
        "are needed with trigger Schedule; add a window, or schedules with cron",
        id="schedule-without-window",
    ),
    pytest.param(
        POLICIES,
        {
            "spec.scorerOverrides": [
                {
                    "name": "upside-down",
                    "lowestPriority": 2,
                    "highestPriority": 1,
                    "scorers": [{"name": "Energy", "weight": 0}],
                }
            ]
        },
        "spec.scorerOverrides[0].lowestPriority",
        "must not be above highestPriority",
        id="priorities-upside-down",
    ),
    pytest.param(
        POLICIES,
        {"spec.defragmentation.thresholdPercent": GONE},
        "spec.defragmentation.thresholdPercent",
        "goes with trigger Threshold, and only with it",
        id="threshold-without-percent",
    ),
    pytest.param(
        POLICIES,
        {"spec.defragmentation.trigger": "Pending"},
        "spec.defragmentation.thresholdPercent",
        "goes with trigger Threshold, and only with it",
        id="percent-without-threshold",
    ),
    pytest.param(
        POLICIES,
        {"spec.defragmentation.windows[0].endTime": "01:00"},
        "spec.defragmentation.windows[0].endTime",
        "must differ from startTime; for a whole day write 00:00 to 23:59",
        id="window-of-no-length",
    ),
    pytest.param(
        POLICIES,
        {"spec.disruption.maxMoves": 9, "spec.defragmentation.maxMoves": 10},
        "spec.defragmentation.maxMoves",
        "must not be above disruption.maxMoves, which no plan may pass; lower it",
        id="more-moves-than-any-plan-may-make",
    ),
]


@pytest.mark.control_plane
@pytest.mark.parametrize(("resource", "edits", "path", "message"), REFUSED)
def test_a_broken_rule_is_refused_with_field_and_remedy(
    api: ApiClient, resource: ApiResource, edits: Edits, path: str, message: str
) -> None:
    said = refusal(api, resource, edits)
    assert f"{path}: " in said
    assert message in said


CHANGES = [
    pytest.param(
        ROLES,
        {"spec.poolName": "other"},
        "spec.poolName",
        "cannot change; the pool makes an object for each of its roles",
        id="role-to-another-pool",
    ),
    pytest.param(
        ROLES,
        {"spec.roleName": "prefill"},
        "spec.roleName",
        "cannot change; the pool makes an object for each of its roles",
        id="role-to-another-role",
    ),
    *(
        pytest.param(
            PLANS,
            edits,
            f"spec.{path}",
            "cannot change; make a new plan",
            id=f"plan-{path}",
        )
        for path, edits in (
            ("trigger", {"spec.trigger": "Manual"}),
            ("moves", {"spec.moves[0].to": "node-9"}),
            ("certificate", {"spec.certificate.seed": 8}),
        )
    ),
]


@pytest.fixture
def stored(api: ApiClient, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """The full manifest of the test's resource, stored."""
    resource: ApiResource = request.getfixturevalue("resource")
    namespace = FULL[resource]["metadata"].get("namespace", "")
    body = api.create(resource.path(namespace), FULL[resource])
    yield body
    api.delete(resource.path(namespace, body["metadata"]["name"]))


@pytest.mark.control_plane
@pytest.mark.parametrize(("resource", "edits", "path", "message"), CHANGES)
def test_what_is_fixed_cannot_change(
    api: ApiClient,
    resource: ApiResource,
    edits: Edits,
    path: str,
    message: str,
    stored: dict[str, Any],
) -> None:
    changed = edited(resource, edits)
    changed["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]
    target = resource.path(stored["metadata"].get("namespace", ""), stored["metadata"]["name"])
    with pytest.raises(RequestRefusedError) as refused:
        api.raw("PUT", target, body=changed)
    assert f"{path}: " in str(refused.value)
    assert message in str(refused.value)


@pytest.mark.control_plane
@pytest.mark.parametrize("resource", [PLANS])
def test_a_plan_can_be_approved(
    api: ApiClient, resource: ApiResource, stored: dict[str, Any]
) -> None:
    target = resource.path(name=stored["metadata"]["name"])
    approved = api.patch(target, {"spec": {"mode": "Auto", "ttlSeconds": 60}})
    assert approved["spec"] == {**stored["spec"], "mode": "Auto", "ttlSeconds": 60}


ACCEPTED = [
    *(pytest.param(resource, {}, id=f"full-{resource.short}") for resource in FULL),
    pytest.param(POOLS, {"spec.topology.required": None}, id="null-means-absent"),
    pytest.param(POOLS, {"spec.scaling.target": 1800}, id="target-as-a-number"),
    pytest.param(POOLS, {"spec.scaling": GONE}, id="fixed-counts"),
    pytest.param(POOLS, EXTERNAL, id="external"),
    pytest.param(
        POOLS,
        EXTERNAL
        | {
            "spec.scaling.target": "10",
            "spec.scaling.signal": "RunningRequests",
            "spec.scaling.sla": {"ttftMs": 100},
        },
        id="external-with-counts-worked-out",
    ),
    pytest.param(
        POOLS,
        {"spec.scaling.schedules[0].endTime": "02:00"},
        id="a-window-over-midnight",
    ),
    pytest.param(POOLS, {"spec.maxGpus": 20}, id="limit-of-one-replica-each"),
    pytest.param(
        POOLS,
        {"spec.maxGpus": 16, "spec.roles[1].replicas": 0, "spec.scaling": GONE},
        id="limit-without-a-role-of-none",
    ),
    pytest.param(POOLS, {"metadata.name": "p" * 40}, id="longest-name"),
    pytest.param(POOLS, {"spec.roles[0].replicas": GONE}, id="no-replicas"),
    pytest.param(
        POOLS,
        {
            "spec.roles": [{**FULL[POOLS]["spec"]["roles"][1], "name": "server"}],
            "spec.scaling": GONE,
        },
        id="one-role",
    ),
    pytest.param(
        POOLS,
        {
            "spec.roles[1].template": GONE,
            "spec.roles[1].accelerators[0].template": {
                "spec": {"containers": [{"name": "engine", "image": "engine"}]}
            },
        },
        id="a-template-for-each-accelerator",
    ),
    pytest.param(POOLS, {"spec.roles[0].migration": GONE}, id="a-group-without-strategy"),
    pytest.param(PLANS, {"spec.moves": []}, id="plan-without-moves"),
    pytest.param(
        PLANS, {"spec.moves": [], "spec.certificate.status": "Infeasible"}, id="proof-of-no-plan"
    ),
    pytest.param(POLICIES, {"spec": {}}, id="policy-of-defaults"),
    pytest.param(POLICIES, {"spec.defragmentation": {}}, id="defragmentation-of-defaults"),
]


@pytest.mark.control_plane
@pytest.mark.parametrize(("resource", "edits"), ACCEPTED)
def test_what_makes_sense_is_taken(api: ApiClient, resource: ApiResource, edits: Edits) -> None:
    manifest = edited(resource, edits)
    answer = create(api, resource, manifest)
    model = MODELS[resource]
    # the model fills in the same defaults as the API server
    assert model.read(answer).model_dump(exclude={"metadata"}) == model.read(manifest).model_dump(
        exclude={"metadata"}
    )


@pytest.mark.control_plane
def test_the_api_server_fills_defaults_that_matter(api: ApiClient) -> None:
    minimal = {
        "apiVersion": "moorage.dev/v1alpha1",
        "kind": "GPUInferencePool",
        "metadata": {"name": "minimal", "namespace": "default"},
        "spec": {
            "model": {"name": "m"},
            "roles": [
                {
                    "name": "server",
                    "accelerators": [{"class": "H100-80GB", "count": 1}],
                    "template": {"spec": {"containers": [{"name": "engine", "image": "e"}]}},
                }
            ],
            "scaling": {"target": 10, "bounds": [{"role": "server", "maxReplicas": 3}]},
        },
    }
    spec = create(api, POOLS, minimal)["spec"]
    assert spec["model"]["engine"] == "vllm"
    assert spec["actuation"] == "Auto"
    assert spec["roles"][0]["accelerators"][0]["nodesPerReplica"] == 1
    assert spec["scaling"] == {
        "mode": "Internal",
        "target": 10,
        "onUnplaceable": "Hold",
        "bounds": [{"role": "server", "minReplicas": 1, "maxReplicas": 3}],
    }


@pytest.mark.control_plane
@pytest.mark.parametrize(
    ("resource", "edits", "said"),
    [
        pytest.param(POOLS, {"spec.hint": "x"}, 'unknown field "spec.hint"', id="misspelt-field"),
        pytest.param(
            POOLS,
            {"spec.roles[0].acelerators": []},
            'unknown field "spec.roles[0].acelerators"',
            id="misspelt-field-in-a-list",
        ),
    ],
)
def test_a_misspelt_field_is_refused(
    api: ApiClient, resource: ApiResource, edits: Edits, said: str
) -> None:
    with pytest.raises(RequestRefusedError, match=re.escape(said)):
        create(api, resource, edited(resource, edits))


@pytest.mark.control_plane
@pytest.mark.parametrize(
    ("edits", "path"),
    [
        pytest.param({"spec.roles[1].name": "prefill"}, "spec.roles[1]", id="role"),
        pytest.param(
            {"spec.roles[0].accelerators[1]": {"class": "H100-80GB", "count": 1}},
            "spec.roles[0].accelerators[1]",
            id="accelerator-class",
        ),
        pytest.param(
            {"spec.scaling.bounds[1].role": "decode"}, "spec.scaling.bounds[1]", id="bounds"
        ),
    ],
)
def test_names_must_be_told_apart(api: ApiClient, edits: Edits, path: str) -> None:
    assert f"{path}: Duplicate value" in refusal(api, POOLS, edits)


def _messages(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for rule in node.get("x-kubernetes-validations", ()):
            yield rule["message"]
        for value in node.values():
            yield from _messages(value)
    elif isinstance(node, list):
        for item in node:
            yield from _messages(item)


def test_every_rule_has_a_case() -> None:
    rules = {message for crd in crd_manifests() for message in _messages(crd)}
    assert rules == {case.values[3] for case in (*REFUSED, *CHANGES)}
