from __future__ import annotations

from typing import Any

import msgspec
import pytest

from moorage_extender.kept_room import KeptRoom, PlanObject
from moorage_policies.testing import make_node, make_pod, make_snapshot
from moorage_policies.types import CPU, NVIDIA_GPU, Owner

OWNER = Owner("ReplicaSet", "chat-abc", "rs")
NODES = [make_node("a"), make_node("b")]


def plan(name: str = "p", *, phase: str = "Executing", **spec: Any) -> PlanObject:
    move = {
        "index": 0,
        "step": 0,
        "kind": "Move",
        "pod": {"namespace": "default", "name": "old", "uid": "pod-default-old"},
        "owner": {"kind": OWNER.kind, "name": OWNER.name, "uid": OWNER.uid},
        "from": "a",
        "to": "b",
        "strategy": "SurgeFirst",
        "gpus": 2,
    }
    body = {
        "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "trigger": "Manual",
            "moves": [move],
            "certificate": {"status": "Feasible"},
            **spec,
        },
        "status": {
            "phase": phase,
            "startedAt": "2026-01-01T00:00:00Z",
            "moves": [{"index": 0, "phase": "Surging"}],
        },
    }
    return msgspec.json.decode(msgspec.json.encode(body), type=PlanObject)


@pytest.fixture
def now() -> list[float]:
    return [1_767_225_600.0]  # 2026-01-01


@pytest.fixture
def kept(now: list[float]) -> KeptRoom:
    return KeptRoom(lambda: now[0])


def test_room_is_as_large_as_the_pod_that_it_is_kept_for(kept: KeptRoom) -> None:
    kept.replace([plan()])
    old = make_pod("old", gpus=2, cpu_m=7000, node="a", owner=OWNER, phase="Running")
    [slot] = kept.slots(make_snapshot(NODES, [old]))
    assert slot.requests[CPU] == 7000
    [slot] = kept.slots(make_snapshot(NODES))  # remembered after the pod has gone
    assert slot.requests[CPU] == 7000


def test_after_a_restart_the_plan_tells_the_accelerators(kept: KeptRoom) -> None:
    kept.replace([plan()])
    [slot] = kept.slots(make_snapshot(NODES))
    assert slot.requests == {NVIDIA_GPU: 2}


def test_room_is_given_back_when_the_plan_ends_goes_or_is_switched_off(kept: KeptRoom) -> None:
    snapshot = make_snapshot(NODES)
    for change in (
        lambda: kept.put(plan(phase="Completed")),
        lambda: kept.drop(plan()),
        lambda: kept.put(plan(mode="Off")),
        lambda: kept.replace([]),
        lambda: kept.put(plan(trigger="Nonsense")),
    ):
        kept.put(plan())
        assert len(kept.slots(snapshot)) == 1
        change()
        assert kept.slots(snapshot) == ()


def test_room_is_given_back_when_nobody_finishes_the_plan(kept: KeptRoom, now: list[float]) -> None:
    kept.put(plan())
    now[0] += 7200
    kept.refresh()
    assert kept.slots(make_snapshot(NODES)) == ()
