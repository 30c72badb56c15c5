"""Statuses: what they hold fits the resources' schema, whatever the facts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_crds.conditions import Condition
from moorage_crds.pool_status import MAX_LISTED_NODES, PoolStatus
from moorage_crds.role import RoleObjectStatus
from moorage_operator.services.conditions import MESSAGE_LIMIT, Finding, write_conditions

Json = dict[str, Any]
NOW, BEFORE = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("before", "holds", "since"),
    [
        pytest.param("True", True, BEFORE, id="the-same-keeps-its-time"),
        pytest.param("False", True, NOW, id="a-change-takes-the-time"),
        pytest.param("Unknown", False, NOW, id="from-unknown-is-a-change"),
        pytest.param(None, False, NOW, id="the-first-time"),
    ],
)
def test_transition_times(before: str | None, holds: bool, since: str) -> None:
    live = []
    if before is not None:
        text = {"type": "Ready", "status": before, "reason": "X", "lastTransitionTime": BEFORE}
        live = [Condition.read(text)]
    finding = Finding("Ready", holds=holds, reason="Other", message="other words")
    (written,) = write_conditions([finding], live, generation=3, now=NOW)
    assert written["lastTransitionTime"] == since
    assert (written["reason"], written["observedGeneration"]) == ("Other", 3)


def test_a_long_message_is_shortened() -> None:
    finding = Finding("Ready", holds=False, reason="X", message="x" * 10_000)
    (written,) = write_conditions([finding], [], generation=1, now=NOW)
    assert len(written["message"]) == MESSAGE_LIMIT


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(
    replicas=st.integers(0, 12),
    seats=st.lists(st.sampled_from(["h1", "h2", "a1", None]), min_size=12, max_size=12),
    ready=st.booleans(),
    count=st.sampled_from([1, 4, 8, 16]),
    actuation=st.sampled_from(["Auto", "Off", "Recommend"]),
    max_gpus=st.sampled_from([None, 1, 16]),
    priority=st.sampled_from(["", "missing"]),
)
async def test_every_status_fits_its_schema_and_adds_up(
    new_bench: Any,
    new_pool: Any,
    new_role: Any,
    replicas: int,
    seats: list[str | None],
    ready: bool,
    count: int,
    actuation: str,
    max_gpus: int | None,
    priority: str,
) -> None:
    bench = new_bench()
    bench.add_node("a1", "NVIDIA-A100-SXM4-40GB")
    classes = [{"class": "H100-80GB", "count": count}, {"class": "A100-40GB", "count": count}]
    spec: Json = {"roles": [new_role(replicas=replicas, accelerators=classes)]}
    spec |= {"actuation": actuation, "priorityClassName": priority}
    if max_gpus:
        spec["maxGpus"] = max_gpus
    bench.apply_pool(new_pool(**spec))
    await bench.settle()
    left = iter(seats)
    bench.run_pods(place=lambda _pod: next(left, None), ready=ready)
    bench.now_s += 30
    await bench.settle()
    status = PoolStatus.read(bench.pool()["status"])
    role = status.roles["server"]
    assert status.desired == role.desired == replicas
    assert status.ready == role.ready <= role.placed == status.placed <= replicas
    assert {c.type for c in status.conditions} == {"Valid", "Placed", "Ready"}
    by_type = {c.type: c for c in status.conditions}
    assert (by_type["Placed"].status == "True") == (role.placed == role.desired)
    if by_type["Ready"].status == "True":
        assert role.ready == role.desired
        assert by_type["Valid"].status == "True"
    assert bool(role.reason) == bool(role.message) == (role.placed < role.desired)
    assert sum(node.pods for node in role.nodes) == sum(
        bool(pod["spec"].get("nodeName")) for pod in bench.pods.values()
    )
    for item in bench.api.of_kind("gpuinferenceroles"):
        told = RoleObjectStatus.read(item["status"])
        assert (told.desired, told.placed, told.ready) == (role.desired, role.placed, role.ready)


async def test_the_placement_is_bounded(bench: Any, new_pool: Any, new_role: Any) -> None:
    many = MAX_LISTED_NODES + 20
    for index in range(many):
        bench.add_node(f"n{index:04d}")
    role = new_role(replicas=many, accelerators=[{"class": "H100-80GB", "count": 8}])
    bench.apply_pool(new_pool(roles=[role]))
    await bench.settle()
    places = iter(range(many))
    bench.run_pods(place=lambda _pod: f"n{next(places):04d}")
    await bench.settle()
    nodes = bench.pool()["status"]["roles"]["server"]["nodes"]
    assert len(nodes) == MAX_LISTED_NODES
    assert nodes == sorted(nodes, key=lambda node: node["name"])
    assert bench.condition("Placed")["status"] == "True"
