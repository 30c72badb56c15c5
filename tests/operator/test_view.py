"""The view after events in any order, repeated or late, equals the view of a fresh list."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from moorage_crds.names import DEPLOYMENTS
from moorage_crds.objects import PodObject
from moorage_operator.children import Child, ChildObject, to_child
from moorage_operator.services.view import ClusterView, PoolRecord

Json = dict[str, Any]
KEY = ("team", "llama")


class Silent:
    def report(self, event: str, /, **facts: object) -> None:
        pass


class Woken:
    def __init__(self) -> None:
        self.keys: list[tuple[tuple[str, str], bool]] = []

    def __call__(self, key: tuple[str, str], *, urgent: bool = False, **_: float) -> None:
        self.keys.append((key, urgent))


def new_view() -> tuple[ClusterView, Woken]:
    woken = Woken()
    return ClusterView(woken, Silent()), woken


def record(version: int, *, uid: str = "u", generation: int = 1) -> PoolRecord:
    return PoolRecord(KEY, uid, version, generation, is_terminating=False, body=b"{}")


def child(name: str, version: int, *, uid: str = "", pool: str = "llama", **spec: Any) -> Child:
    meta = {
        "name": name,
        "namespace": "team",
        "uid": uid or name,
        "resourceVersion": str(version),
        "labels": {"moorage.dev/pool": pool},
    }
    return to_child(DEPLOYMENTS, msgspec.convert({"metadata": meta, "spec": spec}, ChildObject))


def pod(name: str, **status: Any) -> PodObject:
    meta = {"name": name, "namespace": "team", "uid": name, "labels": {"moorage.dev/pool": "llama"}}
    node = status.pop("node", "")
    return msgspec.convert(
        {"metadata": meta, "spec": {"nodeName": node, "containers": []}, "status": status},
        PodObject,
    )


def test_only_a_change_of_the_spec_is_urgent() -> None:
    view, woken = new_view()
    view.put_pool(record(1))
    view.put_pool(record(2))
    view.put_pool(record(3, generation=2))
    view.put_pool(record(4, uid="another"))
    assert [urgent for _, urgent in woken.keys] == [True, False, True, True]


def test_an_old_revision_of_a_pool_is_ignored() -> None:
    view, woken = new_view()
    view.put_pool(record(5))
    view.put_pool(record(4))
    view.put_pool(record(5))
    assert len(woken.keys) == 1
    kept = view.pool(KEY)
    assert kept is not None
    assert kept.resource_version == 5


def test_an_old_revision_of_a_child_is_ignored() -> None:
    view, woken = new_view()
    view.put_child(child("w", 5, replicas=3))
    view.put_child(child("w", 4, replicas=2))
    assert [c.replicas for c in view.children()] == [3]
    assert len(woken.keys) == 1


def test_a_late_deletion_does_not_remove_a_successor() -> None:
    view, _ = new_view()
    view.put_pool(record(1, uid="first"))
    view.put_pool(record(9, uid="second"))
    view.drop_pool(KEY, "first")
    assert view.pool(KEY) is not None
    view.put_child(child("w", 1, uid="first"))
    view.put_child(child("w", 9, uid="second"))
    view.drop_child(child("w", 2, uid="first"))
    assert [c.uid for c in view.children()] == ["second"]


def test_a_status_that_nothing_looks_at_wakes_nobody() -> None:
    view, woken = new_view()
    view.put_child(child("w", 1, replicas=2))
    view.put_child(child("w", 2, replicas=2))
    assert len(woken.keys) == 1
    view.put_child(child("w", 3, replicas=3))
    assert len(woken.keys) == 2


def test_a_relabelled_child_wakes_the_pool_that_lost_it() -> None:
    view, woken = new_view()
    view.put_child(child("w", 1))
    view.put_child(child("w", 2, pool="other"))
    assert woken.keys[1:] == [(KEY, False), (("team", "other"), False)]
    assert [c.pool for c in view.children()] == [("team", "other")]


def test_pods_wake_their_pool_only_when_something_changed() -> None:
    view, woken = new_view()
    view.pods.take_change(pod("a", phase="Pending"))
    view.pods.take_change(pod("a", phase="Pending"))
    view.pods.take_change(pod("a", phase="Running", node="n"))
    assert len(woken.keys) == 2
    view.pods.take_change(pod("a", phase="Succeeded", node="n"))
    assert view.pods.of(KEY) == ()


def test_room_that_becomes_free_wakes_pools_that_lack_some() -> None:
    view, woken = new_view()
    view.unsettled.add(("team", "waiting"))
    view.pods.take_change(pod("a", phase="Running", node="n"))
    assert (("team", "waiting"), False) not in woken.keys
    view.pods.take_deletion(pod("a"))
    assert (("team", "waiting"), False) in woken.keys


def test_the_schedulers_words_are_kept_while_it_refuses() -> None:
    view, _ = new_view()
    refusal = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available",
    }
    view.pods.take_change(pod("a", phase="Pending", conditions=[refusal]))
    assert view.pods.refusals_of(view.pods.of(KEY)) == {"a": "0/3 nodes are available"}
    view.pods.take_change(pod("a", phase="Running", node="n"))
    assert view.pods.refusals_of(view.pods.of(KEY)) == {}


Step = tuple[str, int, str, int]
"""Name, revision, pool, replicas of a Deployment; 0 replicas: it is deleted at that revision."""


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Return what happened, in the server's order, at growing revisions."""
    names = draw(st.lists(st.sampled_from("abc"), max_size=12))
    pools = st.sampled_from(["llama", "other"])
    return [
        (name, 10 + 10 * place, draw(pools), draw(st.integers(0, 3)))
        for place, name in enumerate(names)
    ]


@given(histories(), st.data())
def test_repeated_and_interleaved_events_and_a_relist_end_in_the_same_view(
    history: list[Step], data: st.DataObject
) -> None:
    expected: dict[str, Child] = {}
    view, _ = new_view()
    lives: dict[str, int] = {}
    for name, revision, pool, replicas in history:
        uid = f"{name}-{lives.setdefault(name, revision)}"
        item = child(name, revision, uid=uid, pool=pool, replicas=max(1, replicas))
        if replicas == 0:
            expected.pop(name, None)
            if data.draw(st.booleans(), label="the deletion is seen"):
                view.drop_child(item)
            del lives[name]
            continue
        expected[name] = item
        for _ in range(data.draw(st.integers(0, 2), label="times it is seen")):
            view.put_child(item)
        if data.draw(st.booleans(), label="our own answer comes first"):
            view.put_child(item, wake=False)
    view.list_children("Deployment", expected.values())
    assert {c.name: c for c in view.children()} == expected
    assert all(
        c in view.facts(c.pool, now_s=0, patience_s=0).children.values() for c in expected.values()
    )


def test_only_a_list_of_their_kind_removes_children() -> None:
    view, _ = new_view()
    view.put_child(child("w", 1))
    view.list_children("Service", [])
    assert len(view.children()) == 1  # type: ignore[arg-type]
    view.list_children("Deployment", [])
    assert view.children() == []


def test_facts_do_not_change_under_a_reconcile() -> None:
    view, _ = new_view()
    view.put_child(child("w", 1))
    facts = view.facts(KEY, now_s=0.0, patience_s=15.0)
    view.put_child(child("v", 2))
    assert [key[1] for key in facts.children] == ["w"]
