"""The arrays against a plain reading of kube-scheduler's filters, node by node and pod by pod."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from moorage_policies.feasibility import Trials, feasible_nodes
from moorage_policies.matching import node_matches, pod_term_matches, selector_matches, tolerates
from moorage_policies.state import Snapshot, snapshot_of
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import (
    NVIDIA_GPU,
    Affinity,
    LabelSelector,
    Node,
    NodeSelectorTerm,
    Pod,
    PodAffinityTerm,
    Requirement,
    Taint,
    Toleration,
    TopologySpread,
)

KEYS = ("zone", "rack")
CORDON = Taint("node.kubernetes.io/unschedulable", effect="NoSchedule")


class Reference:
    """One node at a time, every pod looked at, nothing remembered."""

    def __init__(self, nodes: list[Node], pods: list[Pod]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.placed = [pod for pod in pods if pod.node in self.nodes]
        self.nominated = [pod for pod in pods if pod.node is None and pod.nominated_node]

    def accepts(self, pod: Pod, node: Node) -> bool:
        guests = [
            replace(guest, node=node.name)
            for guest in self.nominated
            if guest.nominated_node == node.name
            and guest.priority >= pod.priority
            and guest.uid != pod.uid
        ]
        return all(self.passes(pod, node, self.placed + extra) for extra in ([], guests))

    def passes(self, pod: Pod, node: Node, placed: list[Pod]) -> bool:
        if node.unschedulable and not tolerates(pod.tolerations, (CORDON,)):
            return False
        return (
            pod.node in (None, node.name)
            and tolerates(pod.tolerations, node.taints)
            and node_matches(pod, node)
            and self.has_room(pod, node, placed)
            and all(self.spreads(pod, node, placed, c) for c in pod.spread if c.hard)
            and self.is_near(pod, node, placed)
            and self.is_away(pod, node, placed)
            and self.is_welcome(pod, node, placed)
        )

    def has_room(self, pod: Pod, node: Node, placed: list[Pod]) -> bool:
        there = [other for other in placed if other.node == node.name]
        if len(there) + 1 > node.allocatable.get("pods", 0):
            return False
        return all(
            amount == 0
            or amount + sum(other.requests.get(name, 0) for other in there)
            <= node.allocatable.get(name, 0)
            for name, amount in pod.requests.items()
        )

    def spreads(self, pod: Pod, node: Node, placed: list[Pod], rule: TopologySpread) -> bool:
        if rule.topology_key not in node.labels:
            return False
        keys = [c.topology_key for c in pod.spread if c.hard]
        counts: dict[str, int] = {}
        for other_node in self.nodes.values():
            if any(key not in other_node.labels for key in keys):
                continue
            if rule.honor_node_affinity and not node_matches(pod, other_node):
                continue
            if rule.honor_node_taints and not tolerates(pod.tolerations, other_node.taints):
                continue
            domain = other_node.labels[rule.topology_key]
            counts.setdefault(domain, 0)
            for other in placed:
                if (
                    other.node == other_node.name
                    and not other.terminating
                    and other.namespace == pod.namespace
                    and rule.selector is not None
                    and rule.selector.requirements
                    and selector_matches(rule.selector, other.labels)
                ):
                    counts[domain] += 1
        least = min(counts.values()) if counts and len(counts) >= rule.min_domains else 0
        here = counts.get(node.labels[rule.topology_key], 0)
        itself = int(selector_matches(rule.selector, pod.labels))
        return here + itself - least <= rule.max_skew

    def is_near(self, pod: Pod, node: Node, placed: list[Pod]) -> bool:
        terms = pod.affinity.required_pod_affinity
        if not terms:
            return True
        if any(term.topology_key not in node.labels for term in terms):
            return False

        def all_match(other: Pod) -> bool:
            return all(
                pod_term_matches(t, owner_namespace=pod.namespace, other=other) for t in terms
            )

        company = [other for other in placed if all_match(other)]
        if all(any(self.together(other, node, t) for other in company) for t in terms):
            return True
        anywhere = any(t.topology_key in self.labels(other) for other in company for t in terms)
        return not anywhere and all_match(pod)

    def is_away(self, pod: Pod, node: Node, placed: list[Pod]) -> bool:
        return not any(
            pod_term_matches(term, owner_namespace=pod.namespace, other=other)
            and self.together(other, node, term)
            for term in pod.affinity.required_pod_anti_affinity
            for other in placed
        )

    def is_welcome(self, pod: Pod, node: Node, placed: list[Pod]) -> bool:
        return not any(
            pod_term_matches(term, owner_namespace=other.namespace, other=pod)
            and self.together(other, node, term)
            for other in placed
            for term in other.affinity.required_pod_anti_affinity
        )

    def labels(self, placed: Pod) -> Any:
        assert placed.node is not None
        return self.nodes[placed.node].labels

    def together(self, placed: Pod, node: Node, term: PodAffinityTerm) -> bool:
        key = term.topology_key
        return key in node.labels and self.labels(placed).get(key) == node.labels[key]


apps = st.sampled_from(["a", "b"])
selectors = st.one_of(
    apps.map(lambda app: LabelSelector((Requirement("app", "In", (app,)),))),
    st.sampled_from([None, LabelSelector(), LabelSelector((Requirement("app", "NotIn", ("a",)),))]),
)
pod_terms = st.builds(
    PodAffinityTerm,
    topology_key=st.sampled_from(KEYS),
    selector=selectors,
    namespaces=st.sampled_from([(), (), ("other",)]),
    all_namespaces=st.booleans(),
)
requirements = st.builds(
    Requirement,
    key=st.sampled_from([*KEYS, "gen"]),
    operator=st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]),
    values=st.sampled_from([("z1",), ("z1", "z2"), ("5",), ("r1", "unknown")]),
)
node_terms = st.builds(
    NodeSelectorTerm,
    expressions=st.lists(requirements, max_size=2).map(tuple),
    fields=st.sampled_from(
        [
            (),
            (),
            (Requirement("metadata.name", "In", ("n0", "n1")),),
            (Requirement("metadata.name", "NotIn", ("n2",)),),
        ]
    ),
)
spreads = st.builds(
    TopologySpread,
    topology_key=st.sampled_from(KEYS),
    max_skew=st.integers(1, 2),
    hard=st.just(value=True),
    selector=selectors,
    min_domains=st.integers(1, 3),
    honor_node_affinity=st.booleans(),
    honor_node_taints=st.booleans(),
)
tolerations = st.sampled_from(
    [
        (),
        (Toleration("gpu", "Exists"),),
        (Toleration("gpu", "Equal", "h100", "NoSchedule"),),
        (Toleration(operator="Exists"),),
    ]
)
taints = st.sampled_from(
    [
        (),
        (),
        (),
        (),
        (Taint("gpu", "h100"),),
        (Taint("gpu", "a100", "NoExecute"),),
        (Taint("slow", effect="PreferNoSchedule"),),
    ]
)


def few(terms: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(()), st.just(()), st.lists(terms, max_size=2).map(tuple))


@st.composite
def nodes_lists(draw: st.DrawFn) -> list[Node]:
    values = {
        "zone": st.sampled_from(["z1", "z2", "z2", None]),
        "rack": st.sampled_from(["r1", "r2", "r2", None]),
        "gen": st.sampled_from(["5", "6", "x", None]),
    }
    labels = st.fixed_dictionaries(values).map(
        lambda drawn: {key: value for key, value in drawn.items() if value is not None}
    )
    return [
        make_node(
            f"n{i}",
            gpus=draw(st.integers(3, 8)),
            pods=draw(st.sampled_from([110, 110, 2])),
            labels=draw(labels),
            taints=draw(taints),
            unschedulable=draw(st.sampled_from([False] * 9 + [True])),
        )
        for i in range(draw(st.integers(1, 5)))
    ]


@st.composite
def placed_pods(draw: st.DrawFn, index: int, nodes: int) -> Pod:
    node = f"n{draw(st.integers(0, nodes - 1))}"
    nominated = draw(st.sampled_from([False, False, False, True]))
    return make_pod(
        f"p{index}",
        gpus=draw(st.integers(0, 2)),
        node=None if nominated else node,
        nominated_node=node if nominated else None,
        priority=draw(st.integers(0, 2)),
        namespace=draw(st.sampled_from(["default", "default", "other"])),
        labels={"app": draw(apps)},
        terminating=draw(st.sampled_from([False, False, True])),
        affinity=Affinity(
            required_pod_anti_affinity=draw(few(pod_terms)) if draw(st.booleans()) else ()
        ),
    )


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[Node], list[Pod]]:
    nodes = draw(nodes_lists())
    count = draw(st.integers(0, 7))
    return nodes, [draw(placed_pods(i, len(nodes))) for i in range(count)]


incoming = st.builds(
    make_pod,
    st.just("new"),
    gpus=st.integers(0, 3),
    priority=st.just(1),
    labels=apps.map(lambda app: {"app": app}),
    tolerations=tolerations,
    node_selector=st.sampled_from([{}, {}, {"zone": "z1"}, {"zone": "unknown"}]),
    spread=few(spreads),
    affinity=st.one_of(
        st.just(Affinity()),
        st.builds(
            Affinity,
            required_node_terms=few(node_terms),
            required_pod_affinity=few(pod_terms),
            required_pod_anti_affinity=few(pod_terms),
        ),
    ),
)


def accepted(pod: Pod, snapshot: Snapshot) -> set[str]:
    mask = feasible_nodes(pod, snapshot).mask
    return {name for name, row in snapshot.node_index.items() if mask[row]}


@settings(max_examples=600, deadline=None)
@given(cluster=clusters(), pod=incoming)
def test_accepts_what_a_plain_reading_accepts(
    cluster: tuple[list[Node], list[Pod]], pod: Pod
) -> None:
    nodes, pods = cluster
    reference = Reference(nodes, pods)
    expected = {node.name for node in nodes if reference.accepts(pod, node)}
    assert accepted(pod, snapshot_of(nodes, [*pods, pod])) == expected


@settings(max_examples=300, deadline=None)
@given(cluster=clusters(), pod=incoming)
def test_every_refused_node_has_a_reason_and_no_other(
    cluster: tuple[list[Node], list[Pod]], pod: Pod
) -> None:
    result = feasible_nodes(pod, snapshot_of(*cluster))
    for row, accepts in enumerate(result.mask):
        assert bool(result.reason_of(row)) is not accepts
        assert not (accepts and result.resolvable[row])


@settings(max_examples=400, deadline=None)
@given(cluster=clusters(), pod=incoming, data=st.data())
def test_a_trial_sees_what_a_new_cluster_would_show(
    cluster: tuple[list[Node], list[Pod]], pod: Pod, data: st.DataObject
) -> None:
    nodes, pods = cluster
    snapshot = snapshot_of(nodes, pods)
    row = data.draw(st.integers(0, len(nodes) - 1))
    here = [other for other in pods if other.node == snapshot.node_names[row]]
    gone = [other for other in here if data.draw(st.booleans())]
    trial = Trials(pod, snapshot).on(row)
    for other in here:
        trial.take(other)
    for other in here:
        if other not in gone:
            trial.give_back(other)
    after = snapshot_of(nodes, [other for other in pods if other not in gone])
    assert trial.fits() == (snapshot.node_names[row] in accepted(pod, after))


@settings(max_examples=200, deadline=None)
@given(cluster=clusters(), pod=incoming)
def test_what_cannot_be_resolved_stays_refused_on_an_empty_node(
    cluster: tuple[list[Node], list[Pod]], pod: Pod
) -> None:
    nodes, pods = cluster
    snapshot = snapshot_of(nodes, pods)
    result = feasible_nodes(pod, snapshot)
    for row, name in enumerate(snapshot.node_names):
        if result.mask[row] or result.resolvable[row]:
            continue
        trial = Trials(pod, snapshot).on(row)
        for other in snapshot.pods_on(row):
            trial.take(other)
        assert not trial.fits() or pod.affinity.required_pod_affinity, name


def test_gpus_alone_decide_when_nothing_else_is_asked() -> None:
    nodes = [make_node(f"n{i}", gpus=i) for i in range(9)]
    result = feasible_nodes(make_pod("p", gpus=5), snapshot_of(nodes))
    assert result.mask.tolist() == [i >= 5 for i in range(9)]
    assert result.counts() == {f"is short of {NVIDIA_GPU}": 5}
    assert not result.resolvable.any()
