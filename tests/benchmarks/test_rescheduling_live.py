"""What the live arms count, from recorded revisions of pods."""

from __future__ import annotations

from typing import Any

from moorage_benchmarks.rescheduling_live import Tally, tally


def pod(name: str, node: str | None, *, ready: bool = True, ends: bool = False) -> dict[str, Any]:
    metadata = {"uid": name} | ({"deletionTimestamp": "now"} if ends else {})
    status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}, "status": status}


def test_moves_freed_nodes_and_the_lowest_share_of_ready_pods_are_counted() -> None:
    before = [pod("a", "n0"), pod("b", "n1")]
    events = [
        ("MODIFIED", pod("b", "n1", ends=True)),
        ("ADDED", pod("c", None, ready=False)),
        ("MODIFIED", pod("c", "n0", ready=False)),
        ("DELETED", pod("b", "n1", ends=True)),
        ("MODIFIED", pod("c", "n0")),
    ]
    assert tally(before, events, nodes=3) == Tally(freed=1, moves=1, least_ready=0.5)
    assert tally(before, [], nodes=3) == Tally(freed=0, moves=0, least_ready=1.0)
