"""Any order of events, duplicates, losses and assumptions gives what a fresh list gives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from moorage_policies.state import (
    ClusterState,
    Event,
    NodeChanged,
    NodeDeleted,
    NodesListed,
    PodChanged,
    PodDeleted,
    PodsListed,
    Snapshot,
)
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import LabelSelector, Node, Pod, Requirement

TTL_S = 10.0
NODES = ("a", "b", "c", "d")
PODS = tuple(f"p{i}" for i in range(6))


@dataclass
class SlowCluster:
    """What the state must show, recomputed from plain dictionaries whenever it is asked."""

    nodes: dict[str, Node] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    assumed: dict[str, tuple[Pod, str, float]] = field(default_factory=dict)

    def live(self) -> dict[str, Pod]:
        shown = {uid: pod for uid, (pod, _, _) in self.assumed.items()} | self.pods
        live = {u: p for u, p in shown.items() if p.phase not in ("Succeeded", "Failed")}
        return {
            uid: replace(pod, node=self.assumed[uid][1]) if uid in self.assumed else pod
            for uid, pod in live.items()
        }

    def picture(self) -> dict[str, Any]:
        live = self.live()
        requested: dict[str, dict[str, int]] = {name: defaultdict(int) for name in self.nodes}
        residents: dict[str, dict[str, Pod]] = {name: {} for name in self.nodes}
        for pod in live.values():
            if pod.node in self.nodes:
                residents[pod.node][pod.uid] = pod
                for resource, amount in {**pod.requests, "pods": 1}.items():
                    requested[pod.node][resource] += amount
        groups: dict[tuple[object, ...], dict[str, int]] = {}
        for pod in live.values():
            if pod.node is not None:
                labels = tuple(sorted(pod.labels.items()))
                counts = groups.setdefault((pod.namespace, labels, pod.terminating), {})
                counts[pod.node] = counts.get(pod.node, 0) + 1
        return {
            "groups": groups,
            "nodes": self.nodes,
            "allocatable": {n: _nonzero(node.allocatable) for n, node in self.nodes.items()},
            "requested": {n: _nonzero(sums) for n, sums in requested.items()},
            "residents": residents,
            "pending": {uid: pod for uid, pod in live.items() if pod.node is None},
            "assumed": {uid for uid in self.assumed if uid in live},
            "nominated": {
                uid for uid, pod in live.items() if pod.node is None and pod.nominated_node
            },
        }


def picture_of(snapshot: Snapshot) -> dict[str, Any]:
    def rows(array: Any) -> dict[str, dict[str, int]]:
        return {
            name: _nonzero(dict(zip(snapshot.resources, map(int, array[row]), strict=True)))
            for name, row in snapshot.node_index.items()
        }

    return {
        "groups": {
            (g.namespace, tuple(sorted(g.labels.items())), g.terminating): dict(g.counts)
            for g in snapshot.groups.every.values()
        },
        "nodes": {name: snapshot.nodes[row] for name, row in snapshot.node_index.items()},
        "allocatable": rows(snapshot.allocatable),
        "requested": rows(snapshot.requested),
        "residents": {
            name: {pod.uid: pod for pod in snapshot.pods_on(row)}
            for name, row in snapshot.node_index.items()
        },
        "pending": dict(snapshot.pending),
        "assumed": set(snapshot.assumed),
        "nominated": set(snapshot.nominated),
    }


def labels_of(snapshot: Snapshot) -> dict[Any, Any]:
    return {label: set(keys) for label, keys in snapshot.groups.by_label.items()}


def _nonzero(amounts: Mapping[str, int]) -> dict[str, int]:
    return {name: amount for name, amount in amounts.items() if amount}


class Deliveries(RuleBasedStateMachine):
    """A server with true objects, a lossy line per object, and the state behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.server_nodes: dict[str, Node] = {}
        self.server_pods: dict[str, Pod] = {}
        self.lines: dict[str, list[Event]] = defaultdict(list)
        self.state = ClusterState(assume_ttl_s=TTL_S)
        self.slow = SlowCluster()
        self.now_s = 0.0
        self.births = 0
        self.kept: list[tuple[Snapshot, dict[str, Any], dict[Any, Any]]] = []

    # --- what happens on the server -------------------------------------------------------

    @rule(
        name=st.sampled_from(NODES),
        gpus=st.integers(0, 8),
        extra=st.sampled_from([{}, {"example.com/nic": 4}, {"hugepages-2Mi": 2**40 + 1}]),
        cordoned=st.booleans(),
    )
    def node_changes(self, name: str, gpus: int, extra: dict[str, int], cordoned: bool) -> None:
        node = make_node(name, gpus=gpus, unschedulable=cordoned)
        node = replace(node, allocatable={**node.allocatable, **extra})
        self.server_nodes[name] = node
        self.lines[f"node/{name}"].append(NodeChanged(node))

    @rule(name=st.sampled_from(NODES))
    def node_goes(self, name: str) -> None:
        if self.server_nodes.pop(name, None):
            self.lines[f"node/{name}"].append(NodeDeleted(name))

    @rule(
        name=st.sampled_from(PODS),
        memory=st.integers(0, 2**45),
        extra=st.sampled_from([{}, {"example.com/fpga": 3}]),
        node=st.sampled_from([None, *NODES]),
    )
    def pod_is_born(self, name: str, memory: int, extra: dict[str, int], node: str | None) -> None:
        if any(pod.name == name for pod in self.server_pods.values()):
            return
        self.births += 1
        labels = {"app": "odd" if self.births % 2 else "even"}
        pod = make_pod(name, memory=memory, uid=f"{name}#{self.births}", node=node, labels=labels)
        self._tell_pod(replace(pod, requests={**pod.requests, **extra}))

    @precondition(lambda self: self.server_pods)
    @rule(data=st.data(), node=st.sampled_from(NODES))
    def pod_is_bound(self, data: st.DataObject, node: str) -> None:
        pod = self._any_pod(data)
        if pod.node is None:
            self._tell_pod(replace(pod, node=node, nominated_node=None))

    @precondition(lambda self: self.server_pods)
    @rule(data=st.data(), node=st.sampled_from(NODES))
    def pod_is_nominated(self, data: st.DataObject, node: str) -> None:
        pod = self._any_pod(data)
        if pod.node is None:
            self._tell_pod(replace(pod, nominated_node=node))

    @precondition(lambda self: self.server_pods)
    @rule(data=st.data(), cpu=st.integers(0, 4000))
    def pod_is_resized_or_drained(self, data: st.DataObject, cpu: int) -> None:
        pod = self._any_pod(data)
        self._tell_pod(replace(pod, requests={**pod.requests, "cpu": cpu}, terminating=cpu > 2000))

    @precondition(lambda self: self.server_pods)
    @rule(data=st.data(), phase=st.sampled_from(["Succeeded", "Failed"]))
    def pod_finishes(self, data: st.DataObject, phase: Any) -> None:
        self._tell_pod(replace(self._any_pod(data), phase=phase))

    @precondition(lambda self: self.server_pods)
    @rule(data=st.data())
    def pod_goes(self, data: st.DataObject) -> None:
        pod = self._any_pod(data)
        del self.server_pods[pod.uid]
        self.lines[f"pod/{pod.uid}"].append(PodDeleted(pod.uid))

    # --- what reaches us ------------------------------------------------------------------

    @precondition(lambda self: any(self.lines.values()))
    @rule(data=st.data(), times=st.integers(0, 2))
    def next_event_arrives(self, data: st.DataObject, times: int) -> None:
        """Deliver the next event of one object: never (lost), once, or twice."""
        line = data.draw(st.sampled_from(sorted(k for k, events in self.lines.items() if events)))
        event = self.lines[line].pop(0)
        for _ in range(times):
            self.state.apply(event)
            self._note(event)

    @rule(chunk=st.integers(1, 3))
    def nodes_are_listed(self, chunk: int) -> None:
        event = NodesListed(tuple(self.server_nodes.values()))
        for _ in self.state.apply_in_steps(event, chunk):
            self.arrays_agree_with_residents()
        self._cut("node/")
        self.slow.nodes = dict(self.server_nodes)

    @rule(chunk=st.integers(1, 3))
    def pods_are_listed(self, chunk: int) -> None:
        event = PodsListed(tuple(reversed(self.server_pods.values())))
        for _ in self.state.apply_in_steps(event, chunk):
            self.arrays_agree_with_residents()
        self._cut("pod/")
        for uid in set(self.slow.pods) - set(self.server_pods):
            self.slow.assumed.pop(uid, None)
        self.slow.pods = dict(self.server_pods)
        self._settle_assumptions()

    # --- what we do -----------------------------------------------------------------------

    @precondition(lambda self: self.server_pods)
    @rule(data=st.data(), node=st.sampled_from(NODES))
    def bind_is_tried(self, data: st.DataObject, node: str) -> None:
        pod = replace(self._any_pod(data), node=None, phase="Pending")
        self.state.assume(pod, node, self.now_s)
        self.slow.assumed[pod.uid] = (pod, node, self.now_s)
        self._settle_assumptions()

    @precondition(lambda self: self.slow.assumed)
    @rule(data=st.data())
    def bind_fails(self, data: st.DataObject) -> None:
        uid = data.draw(st.sampled_from(sorted(self.slow.assumed)))
        self.state.forget(uid)
        del self.slow.assumed[uid]

    @rule(seconds=st.floats(0.0, TTL_S))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        due = {u for u, (_, _, s) in self.slow.assumed.items() if self.now_s - s >= TTL_S}
        assert set(self.state.expire(self.now_s)) == due
        for uid in due:
            del self.slow.assumed[uid]

    @rule()
    def a_reader_keeps_a_snapshot(self) -> None:
        snapshot = self.state.snapshot()
        self.kept = [*self.kept[-2:], (snapshot, picture_of(snapshot), labels_of(snapshot))]

    # --- what must hold -------------------------------------------------------------------

    @invariant()
    def shows_what_was_delivered(self) -> None:
        assert picture_of(self.state.snapshot()) == self.slow.picture()

    @invariant()
    def arrays_agree_with_residents(self) -> None:
        snapshot = self.state.snapshot()
        for row in range(len(snapshot.nodes)):
            for column, resource in enumerate(snapshot.resources):
                pods = snapshot.pods_on(row)
                told = sum(1 if resource == "pods" else p.requests.get(resource, 0) for p in pods)
                assert int(snapshot.requested[row, column]) == told

    @invariant()
    def kept_snapshots_stand(self) -> None:
        for snapshot, picture, labels in self.kept:
            assert picture_of(snapshot) == picture
            assert labels_of(snapshot) == labels

    @invariant()
    def groups_are_found_by_label(self) -> None:
        groups = self.state.snapshot().groups
        for label in (("app", "odd"), ("app", "even")):
            selector = LabelSelector((Requirement(label[0], "In", (label[1],)),))
            found = {id(group) for group in groups.worth_matching(selector)}
            everywhere = groups.every.values()
            assert found == {id(g) for g in everywhere if g.labels.get("app") == label[1]}
            assert (label in groups.by_label) == bool(found)

    @invariant()
    def same_generation_is_the_same_object(self) -> None:
        assert self.state.snapshot() is self.state.snapshot()

    def teardown(self) -> None:
        """After a full relist nothing of the way there is left."""
        self.nodes_are_listed(chunk=2)
        self.pods_are_listed(chunk=2)
        fresh = ClusterState(assume_ttl_s=TTL_S)
        fresh.apply(PodsListed(tuple(self.server_pods.values())))
        fresh.apply(NodesListed(tuple(self.server_nodes.values())))
        for pod, node, since_s in self.slow.assumed.values():
            fresh.assume(pod, node, since_s)
        assert picture_of(self.state.snapshot()) == picture_of(fresh.snapshot())

    def _any_pod(self, data: st.DataObject) -> Pod:
        return self.server_pods[data.draw(st.sampled_from(sorted(self.server_pods)))]

    def _tell_pod(self, pod: Pod) -> None:
        self.server_pods[pod.uid] = pod
        self.lines[f"pod/{pod.uid}"].append(PodChanged(pod))

    def _cut(self, kind: str) -> None:
        for line in [line for line in self.lines if line.startswith(kind)]:
            del self.lines[line]

    def _note(self, event: Event) -> None:
        match event:
            case NodeChanged(node):
                self.slow.nodes[node.name] = node
            case NodeDeleted(name):
                self.slow.nodes.pop(name, None)
            case PodChanged(pod):
                self.slow.pods[pod.uid] = pod
            case PodDeleted(uid):
                self.slow.pods.pop(uid, None)
                self.slow.assumed.pop(uid, None)
        self._settle_assumptions()

    def _settle_assumptions(self) -> None:
        for uid in list(self.slow.assumed):
            told = self.slow.pods.get(uid)
            if told is not None and (told.node or told.phase in ("Succeeded", "Failed")):
                del self.slow.assumed[uid]


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
