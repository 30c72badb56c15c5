from __future__ import annotations

import pytest

from moorage_policies.health import HealthParams, NodeReading, Refusal, find_signs

GPU = "nvidia.com/gpu"
PARAMS = HealthParams(refusals=3, window_s=600)


def reading(capacity: int = 8, allocatable: int = 8, **fields: object) -> NodeReading:
    labels = {"nvidia.com/gpu.count": "8"}
    return NodeReading(
        "n1", **{"labels": labels, "capacity": {GPU: capacity}, "allocatable": {GPU: allocatable}}
        | fields  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("node", "reasons"),
    [
        pytest.param(reading(), [], id="all-well"),
        pytest.param(reading(8, 7), ["DevicesUnhealthy"], id="one-unhealthy"),
        pytest.param(reading(7, 7), ["DevicesLost"], id="one-gone"),
        pytest.param(reading(7, 6), ["DevicesUnhealthy", "DevicesLost"], id="both"),
        pytest.param(reading(0, 0), ["DevicesLost"], id="no-device-plugin-any-more"),
        pytest.param(reading(7, 7, labels={}), [], id="nobody-counted-the-devices"),
        pytest.param(
            reading(8, 8, labels={"nvidia.com/gpu.count": "4", "nvidia.com/gpu.replicas": "2"}),
            [],
            id="shared-devices-count-several-times",
        ),
        pytest.param(
            reading(6, 6, labels={"nvidia.com/gpu.count": "4", "nvidia.com/gpu.replicas": "2"}),
            ["DevicesLost"],
            id="a-shared-device-is-gone",
        ),
        pytest.param(
            reading(4, 4, labels={"nvidia.com/gpu.count": "8", "nvidia.com/mig.strategy": "mixed"}),
            [],
            id="slices-of-other-names",
        ),
        pytest.param(reading(7, 7, labels={"nvidia.com/gpu.count": "x"}), [], id="no-number"),
        pytest.param(reading(conditions={"XIDErrors": "True"}), ["NodeCondition"], id="agent"),
        pytest.param(
            reading(conditions={"AcceleratedHardwareReady": "False"}),
            ["NodeCondition"],
            id="another-agent",
        ),
        pytest.param(
            reading(conditions={"AcceleratedHardwareReady": "True", "XIDErrors": "Unknown"}),
            [],
            id="agents-that-do-not-complain",
        ),
    ],
)
def test_find_signs(node: NodeReading, reasons: list[str]) -> None:
    assert [sign.reason for sign in find_signs(node, (), PARAMS, 0.0)] == reasons


@pytest.mark.parametrize(
    ("refusals", "is_sign"),
    [
        pytest.param([("n1", "a", 0), ("n1", "b", 300), ("n1", "c", 599)], True, id="three"),
        pytest.param([("n1", "a", 0), ("n1", "b", 300)], False, id="two"),
        pytest.param([("n1", "a", 0), ("n1", "a", 1), ("n1", "a", 2)], False, id="one-pod-thrice"),
        pytest.param([("n1", "a", -1), ("n1", "b", 1), ("n1", "c", 2)], False, id="one-too-old"),
        pytest.param([("n2", "a", 1), ("n1", "b", 1), ("n1", "c", 2)], False, id="another-node"),
    ],
)
def test_refused_pods(refusals: list[tuple[str, str, float]], is_sign: bool) -> None:
    signs = find_signs(reading(), [Refusal(*refusal) for refusal in refusals], PARAMS, 599.5)
    assert bool(signs) == is_sign
