"""What a cautious admin's policies ask of every rendered object, case by case."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
Json = dict[str, Any]
CASES = sorted((ROOT / "tests/charts/golden").glob("*.yaml"))
DANGEROUS_VERBS = {"*", "escalate", "bind", "impersonate"}


def workloads(objects: list[Json]) -> list[Json]:
    return [o for o in objects if o["kind"] in ("Deployment", "DaemonSet", "StatefulSet")]


def containers(objects: list[Json]) -> Iterator[tuple[str, Json]]:
    for owner in workloads(objects):
        for container in owner["spec"]["template"]["spec"]["containers"]:
            yield f"{owner['metadata']['name']}/{container['name']}", container


def unprobed(objects: list[Json]) -> Iterator[str]:
    for name, container in containers(objects):
        if name.endswith("/solver"):
            continue  # asked by its neighbour in the pod only, which tells
        yield from (
            f"{name} {p}" for p in ("livenessProbe", "readinessProbe") if p not in container
        )


def unpinned(objects: list[Json]) -> Iterator[str]:
    for name, container in containers(objects):
        _, _, tag = container["image"].rpartition(":")
        if "/" in tag or tag in ("", "latest"):
            yield f"{name} {container['image']}"


def unrequested(objects: list[Json]) -> Iterator[str]:
    for name, container in containers(objects):
        if not {"cpu", "memory"} <= container["resources"].get("requests", {}).keys():
            yield name


def undisruptable(objects: list[Json]) -> Iterator[str]:
    """Yield workloads of several replicas that a drain may take away all at once."""
    guards = [
        o["spec"]["selector"]["matchLabels"] for o in objects if o["kind"] == "PodDisruptionBudget"
    ]
    for owner in workloads(objects):
        labels = owner["spec"]["template"]["metadata"]["labels"]
        if owner["spec"].get("replicas", 1) > 1 and not any(
            guard.items() <= labels.items() for guard in guards
        ):
            yield owner["metadata"]["name"]


def huddled(objects: list[Json]) -> Iterator[str]:
    """Yield workloads of several replicas that may all sit on one node."""
    for owner in workloads(objects):
        spec = owner["spec"]["template"]["spec"]
        if owner["spec"].get("replicas", 1) > 1 and not spec.get("topologySpreadConstraints"):
            yield owner["metadata"]["name"]


def overreaching(objects: list[Json]) -> Iterator[str]:
    for role in (o for o in objects if o["kind"] in ("Role", "ClusterRole")):
        for rule in role.get("rules") or ():
            reach = DANGEROUS_VERBS & set(rule["verbs"])
            everything = "*" in (*rule.get("apiGroups", ()), *rule.get("resources", ()))
            if reach or everything or "secrets" in rule.get("resources", ()):
                yield f"{role['metadata']['name']} {rule}"


def mislabelled(objects: list[Json]) -> Iterator[str]:
    wanted = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/part-of"}
    for item in objects:
        if missing := wanted - item["metadata"].get("labels", {}).keys():
            yield f"{item['kind']} {item['metadata']['name']}: {sorted(missing)}"


POLICIES = (
    unprobed, unpinned, unrequested, undisruptable, huddled, overreaching, mislabelled,
)  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_nothing_offends(case: Path, policy: Callable[[list[Json]], Iterator[str]]) -> None:
    objects = [o for o in yaml.safe_load_all(case.read_text()) if o]
    assert list(policy(objects)) == []


def spoilt() -> list[Json]:
    container = {"name": "c", "image": "registry:5000/c", "resources": {}}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    deployment = {
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"replicas": 2, "template": template},
    }
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    return [deployment, {"kind": "Role", "metadata": {"name": "r"}, "rules": rules}]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
def test_each_policy_finds_what_it_is_for(policy: Callable[[list[Json]], Iterator[str]]) -> None:
    assert list(policy(spoilt()))
