"""Our request arithmetic against the books of the real kube-scheduler, pod by pod.

kube-scheduler publishes what it counts for each pod as ``kube_pod_resource_request`` under
``/metrics/resources``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from moorage_crds.convert import to_pod
from moorage_crds.objects import PodObject

pytestmark = pytest.mark.control_plane

GPU = "nvidia.com/gpu"
SERIES = re.compile(r"^kube_pod_resource_request\{(.*)\} (\S+)$", re.MULTILINE)


def container(name: str, **requests: str) -> dict[str, Any]:
    named = {key.replace("gpu", GPU): value for key, value in requests.items()}
    limits = {key: value for key, value in named.items() if key == GPU}
    return {"name": name, "image": "none", "resources": {"requests": named, "limits": limits}}


def sidecar(name: str, **requests: str) -> dict[str, Any]:
    return {**container(name, **requests), "restartPolicy": "Always"}


CASES: dict[str, dict[str, Any]] = {
    "one-container": {"containers": [container("a", cpu="250m", memory="1Gi", gpu="2")]},
    "two-containers": {
        "containers": [container("a", cpu="1", gpu="1"), container("b", cpu="300m", gpu="2")]
    },
    "big-init": {
        "initContainers": [container("i", cpu="3", memory="2Gi")],
        "containers": [container("a", cpu="1", memory="1Gi", gpu="1")],
    },
    "init-with-more-gpus": {
        "initContainers": [container("i", cpu="1", gpu="3")],
        "containers": [container("a", cpu="1", gpu="1")],
    },
    "sidecar-before-init": {
        "initContainers": [sidecar("s", cpu="500m", memory="256Mi"), container("i", cpu="2")],
        "containers": [container("a", cpu="1", memory="1Gi")],
    },
    "sidecar-after-init": {
        "initContainers": [container("i", cpu="2"), sidecar("s", cpu="500m")],
        "containers": [container("a", cpu="1")],
    },
    "rounding": {"containers": [container("a", cpu="0.1005", memory="1e3"), container("b")]},
    "pod-level": {
        "resources": {"requests": {"cpu": "4", "memory": "3Gi"}},
        "containers": [container("a", cpu="1", memory="1Gi", gpu="1")],
    },
}


@pytest.mark.parametrize("case", CASES)
def test_the_scheduler_counts_what_we_count(
    arena: Any, eventually: Callable[..., Any], case: str
) -> None:
    arena.nodes("only", gpus=8)
    arena.start_other_scheduler()
    arena.pod(case, gpus=0, other_scheduler=True, **CASES[case])
    arena.wait_bound(case)
    ours = to_pod(msgspec.convert(arena.get(case), PodObject)).requests

    def theirs() -> dict[str, float]:
        text = arena.plane.metrics(arena.other_scheduler, "/metrics/resources")
        return booked(text, arena.namespace, case)

    expected = {"cpu": ours.get("cpu", 0) / 1000, "memory": ours.get("memory", 0)}
    expected[GPU] = ours.get(GPU, 0)
    wanted = {name: float(amount) for name, amount in expected.items() if amount}
    eventually(lambda: theirs() == wanted, what=f"the scheduler's books say {wanted}")


def booked(metrics: str, namespace: str, pod: str) -> dict[str, float]:
    """Return what the scheduler counts for a pod, by resource."""
    found: dict[str, float] = {}
    for labels, value in SERIES.findall(metrics):
        named = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if (named["namespace"], named["pod"]) == (namespace, pod):
            found[named["resource"]] = float(value)
    return found
