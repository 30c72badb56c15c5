"""Request arithmetic against a slow reference and against what kube-scheduler's own code says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_crds.objects import NodeObject, PodObject
from moorage_crds.quantities import parse_quantity
from moorage_crds.requests import node_amounts, pod_requests

RECORDED = json.loads((Path(__file__).parent / "data" / "pod-requests.json").read_text())
POD_LEVEL = {"cpu", "memory", "hugepages-2Mi"}
AMOUNTS = {
    "cpu": st.sampled_from(["0", "1", "100m", "250m", "1500m", "0.1", "1u", "3"]),
    "memory": st.sampled_from(["0", "64Mi", "1Gi", "1.5Gi", "100M", "1e3", "123456789", "1m"]),
    "ephemeral-storage": st.sampled_from(["1Gi", "10M"]),
    "hugepages-2Mi": st.sampled_from(["2Mi", "4Mi"]),
    "nvidia.com/gpu": st.sampled_from(["1", "2", "8"]),
}

resources = st.fixed_dictionaries({}, optional=AMOUNTS)
resized = st.fixed_dictionaries({}, optional={n: AMOUNTS[n] for n in ("cpu", "memory")})
Raw = dict[str, Any]


@st.composite
def raw_pods(draw: st.DrawFn) -> Raw:
    """Pods of every shape, bound ones with what a kubelet reports."""

    def container(index: int, kind: str) -> Raw:
        body: Raw = {"name": f"{kind}{index}", "resources": {"requests": draw(resources)}}
        if kind == "sidecar":
            body["restartPolicy"] = "Always"
        return body

    containers = [container(i, "main") for i in range(draw(st.integers(1, 3)))]
    kinds = draw(st.lists(st.sampled_from(["init", "sidecar"]), max_size=4))
    spec: Raw = {
        "containers": containers,
        "initContainers": [container(i, kind) for i, kind in enumerate(kinds)],
    }
    if draw(st.booleans()):
        spec["overhead"] = draw(resized)
    if draw(st.booleans()):
        spec["resources"] = {
            "requests": draw(
                st.fixed_dictionaries(
                    {}, optional={name: AMOUNTS[name] for name in sorted(POD_LEVEL)}
                )
            )
        }
    status: Raw = {}
    if draw(st.booleans()):
        spec["nodeName"] = "node-1"
        status = draw(raw_status(spec))
    return {"metadata": {"name": "p"}, "spec": spec, "status": status}


@st.composite
def raw_status(draw: st.DrawFn, spec: Raw) -> Raw:
    def report(container: Raw) -> Raw:
        requests = {**container["resources"]["requests"], **draw(resized)}
        allocated = {**container["resources"]["requests"], **draw(resized)}
        return {
            "name": container["name"],
            "allocatedResources": allocated,
            "resources": {"requests": requests},
        }

    status: Raw = {}
    if draw(st.booleans()):
        status["containerStatuses"] = [report(c) for c in spec["containers"]]
        status["initContainerStatuses"] = [
            report(c) for c in spec["initContainers"] if c.get("restartPolicy")
        ]
    if draw(st.booleans()):
        status["allocatedResources"] = draw(resources)
        status["resources"] = {"requests": draw(resources)}
    reason = draw(st.sampled_from([None, "Deferred", "Infeasible"]))
    if reason:
        status["conditions"] = [{"type": "PodResizePending", "status": "True", "reason": reason}]
    return status


Amounts = dict[str, Fraction]


def exact(requests: Raw | None) -> Amounts:
    return {name: parse_quantity(value) for name, value in (requests or {}).items()}


def over(parts: Iterable[Amounts], combine: Callable[[list[Fraction]], Fraction]) -> Amounts:
    parts = list(parts)
    names = {name for part in parts for name in part}
    return {name: combine([part.get(name, Fraction(0)) for part in parts]) for name in names}


def total(parts: Iterable[Amounts]) -> Amounts:
    return over(parts, lambda values: sum(values, Fraction(0)))


def largest(*parts: Amounts) -> Amounts:
    return over(parts, max)


def hungriest_moment(spec: Raw, of: Callable[[Raw], Amounts]) -> Amounts:
    """Play the pod's start: which containers run together at each moment, and what do they take?"""
    moments, running = [], []
    for container in spec["initContainers"]:
        moments.append([*running, container])
        if container.get("restartPolicy") == "Always":
            running.append(container)
    moments.append([*running, *spec["containers"]])
    return largest(*(total(map(of, moment)) for moment in moments))


def reference(pod: Raw) -> dict[str, int]:
    spec, status = pod["spec"], pod["status"]
    bound = "nodeName" in spec
    refused = any(c["reason"] == "Infeasible" for c in status.get("conditions", ()))
    asked = hungriest_moment(spec, lambda c: exact(c["resources"]["requests"]))
    reports = {
        r["name"]: largest(exact(r["allocatedResources"]), exact(r["resources"]["requests"]))
        for key in ("containerStatuses", "initContainerStatuses")
        for r in status.get(key, ())
    }

    def resizing(container: Raw) -> Amounts:
        wish = exact(container["resources"]["requests"])
        report = reports.get(container["name"])
        if report is None:
            return wish
        return report if refused else largest(wish, report)

    whole = bound and "allocatedResources" in status
    in_use = (
        [exact(status["allocatedResources"]), exact(status["resources"]["requests"])]
        if whole
        else []
    )
    if whole:
        amounts = largest(*in_use) if refused else largest(asked, *in_use)
    else:
        amounts = hungriest_moment(spec, resizing) if bound else asked
    level = exact(spec.get("resources", {}).get("requests"))
    if level:
        if whole:
            supported = [{n: v for n, v in part.items() if n in POD_LEVEL} for part in in_use]
            level = largest(*supported) if refused else largest(level, *supported)
        amounts = {**amounts, **level}
    amounts = total([amounts, exact(spec.get("overhead"))])
    return {
        name: math.ceil(value * 1000 if name == "cpu" else value)
        for name, value in amounts.items()
        if value
    }


def decode(pod: Raw) -> PodObject:
    return msgspec.json.decode(json.dumps(pod), type=PodObject)


@settings(max_examples=500)
@given(raw_pods())
def test_requests_are_what_the_hungriest_moment_takes(pod: Raw) -> None:
    assert pod_requests(decode(pod)) == reference(pod)


def _nonzero(amounts: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in amounts.items() if value}


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["id"])
def test_requests_are_what_kube_scheduler_counts(case: Raw) -> None:
    """``by`` holds the answers of the scheduler's own code of both minors, zeros included."""
    ours = pod_requests(decode(case["pod"]))
    if "allocatedResources" in case["pod"]["status"]:
        assert ours == _nonzero(case["by"]["1.37"])  # such a report does not exist before 1.36
        return
    assert ours == _nonzero(case["by"]["1.34"])
    assert all(ours.get(name, 0) >= value for name, value in case["by"]["1.37"].items())


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        # 0.5m + 0.5m is one millicore, not two
        pytest.param([{"cpu": "500u"}, {"cpu": "500u"}], {"cpu": 1}, id="rounded-after-the-sum"),
        pytest.param([{"memory": "0.5"}], {"memory": 1}, id="half-a-byte-is-one"),
        pytest.param([{"pods": "3", "cpu": "1"}], {"cpu": 1000}, id="pods-are-not-requested"),
        pytest.param([{"foo": "3"}], {}, id="an-unknown-bare-name-does-not-count"),
        pytest.param([{"nvidia.com/gpu": "0"}], {}, id="zero-is-nothing"),
        pytest.param(
            [{"hugepages-2Mi": "4Mi", "attachable-volumes-x": "2", "a.io/b": 1}],
            {"hugepages-2Mi": 4 * 2**20, "attachable-volumes-x": 2, "a.io/b": 1},
            id="scalar-resources",
        ),
    ],
)
def test_counting(requests: list[Raw], expected: dict[str, int]) -> None:
    containers = [{"name": str(i), "resources": {"requests": r}} for i, r in enumerate(requests)]
    assert pod_requests(decode({"spec": {"containers": containers}})) == expected


def test_a_pod_without_containers_or_resources_asks_for_nothing() -> None:
    assert pod_requests(decode({"spec": {"containers": None}})) == {}
    assert pod_requests(decode({"spec": {"containers": [{"name": "c"}]}})) == {}


def test_allocatable_is_counted_in_the_same_amounts() -> None:
    node = msgspec.convert(
        {"status": {"allocatable": {"cpu": "64", "memory": "1Gi", "pods": "110", "x.io/y": "8"}}},
        NodeObject,
    )
    assert node_amounts(node.status.allocatable) == {
        "cpu": 64_000,
        "memory": 2**30,
        "pods": 110,
        "x.io/y": 8,
    }
