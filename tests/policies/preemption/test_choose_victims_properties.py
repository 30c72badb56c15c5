"""The answer against every subset of every node, on instances small enough to try them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import hypothesis.strategies as st
from hypothesis import assume, given, settings

from moorage_policies.feasibility import feasible_nodes
from moorage_policies.preemption import (
    OPT_OUT_ANNOTATION,
    PreemptionParams,
    Protection,
    choose_victims,
)
from moorage_policies.state import snapshot_of
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import (
    Affinity,
    DisruptionBudget,
    LabelSelector,
    Node,
    Pod,
    PodAffinityTerm,
    Requirement,
    TopologySpread,
)

NOW_S = 10_000.0
APPS = ("chat", "code")
PROTECTION = Protection(frozenset({"kube-system"}), from_priority=90, min_runtime_s=60.0)


def app_is(app: str) -> LabelSelector:
    return LabelSelector((Requirement("app", "In", (app,)),))


RULES: tuple[dict[str, Any], ...] = (
    {},
    {
        "affinity": Affinity(
            required_pod_anti_affinity=(PodAffinityTerm("kubernetes.io/hostname", app_is("code")),)
        )
    },
    {"spread": (TopologySpread("kubernetes.io/hostname", 1, True, app_is("chat")),)},
)


@st.composite
def residents(draw: st.DrawFn, node: str, number: int) -> Pod:
    repels = draw(rarely(True, False))
    affinity = Affinity(
        required_pod_anti_affinity=(PodAffinityTerm("kubernetes.io/hostname", app_is("chat")),)
    )
    return make_pod(
        f"{node}-{number}",
        node=node,
        namespace=draw(rarely("kube-system", "default")),
        gpus=draw(st.sampled_from([1, 1, 2, 2, 3, 0])),
        cpu_m=draw(st.sampled_from([1000, 1000, 2000])),
        priority=draw(st.sampled_from([0, 0, 10, 10, 50, -(2**31), 95])),
        labels={"app": draw(st.sampled_from(APPS))},
        annotations=draw(rarely({OPT_OUT_ANNOTATION: "false"}, {})),
        started_s=NOW_S - draw(st.sampled_from([100.0, 200.0, 5000.0, 5.0])),
        terminating=draw(rarely(True, False)),
        affinity=affinity if repels else Affinity(),
    )


def rarely(odd: Any, usual: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([usual] * 9 + [odd])


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[Node], list[Pod]]:
    names = draw(st.sampled_from([("a",), ("a", "b")]))
    nodes = [make_node(n, gpus=draw(st.sampled_from([6, 8])), cpu_m=8000) for n in names]
    pods = [
        draw(residents(name, number)) for name in names for number in range(draw(st.integers(3, 6)))
    ]
    return nodes, pods


@st.composite
def budget_lists(draw: st.DrawFn) -> list[DisruptionBudget]:
    return [
        DisruptionBudget("default", f"pdb-{app}", app_is(app), draw(st.integers(-1, 2)))
        for app in draw(st.sets(st.sampled_from(APPS)))
    ]


def may_go(victim: Pod, preemptor: Pod) -> bool:
    if victim.priority >= preemptor.priority:
        return False
    assert victim.started_s is not None
    return victim.terminating or (
        victim.namespace != "kube-system"
        and victim.priority < 90
        and OPT_OUT_ANNOTATION not in victim.annotations
        and NOW_S - victim.started_s >= 60.0
    )


def harm(victims: Iterable[Pod], budgets: list[DisruptionBudget]) -> tuple[float, ...]:
    real = [pod for pod in victims if not pod.terminating]
    if not real:
        return (0, -(2**31) - 1, 0, 0, 0.0)
    over = 0
    for budget in budgets:
        hits = sum(
            pod.namespace == budget.namespace and budget.name == f"pdb-{pod.labels['app']}"
            for pod in real
        )
        over += max(0, hits - max(0, budget.disruptions_allowed))
    cost = 0.0
    for pod in real:
        assert pod.started_s is not None
        cost += (NOW_S - pod.started_s) * (1 + pod.requests.get("nvidia.com/gpu", 0))
    priorities = [pod.priority for pod in real]
    return (over, max(priorities), sum(p + 2**31 for p in priorities), len(real), cost)


def fits_without(
    pod: Pod, nodes: list[Node], pods: list[Pod], victims: Iterable[Pod], node: str
) -> bool:
    gone = {victim.uid for victim in victims}
    after = snapshot_of(nodes, [other for other in pods if other.uid not in gone])
    return bool(feasible_nodes(pod, after).mask[after.node_index[node]])


@settings(max_examples=400, deadline=None)
@given(
    cluster=clusters(),
    budgets=budget_lists(),
    gpus=st.sampled_from([3, 4, 2, 6]),
    priority=st.sampled_from([60, 99, 20]),
    rule=st.sampled_from(RULES),
    strict=st.booleans(),
    keep=st.sampled_from(["best", "all"]),
    data=st.data(),
)
def test_least_harm_of_all_legal_sets(
    cluster: tuple[list[Node], list[Pod]],
    budgets: list[DisruptionBudget],
    gpus: int,
    priority: int,
    rule: dict[str, Any],
    strict: bool,
    keep: Any,
    data: st.DataObject,
) -> None:
    nodes, pods = cluster
    pod = make_pod("new", gpus=gpus, priority=priority, labels={"app": "chat"}, **rule)
    snapshot = snapshot_of(nodes, [*pods, pod])
    assume(not feasible_nodes(pod, snapshot).mask.any())
    candidates = propose(data, nodes, pods)
    params = PreemptionParams(strict_budgets=strict, keep=keep, protection=PROTECTION)
    decision = choose_victims(pod, candidates, snapshot, budgets, params, NOW_S, first_failed_s=0.0)

    best: dict[str, tuple[float, ...]] = {}
    for name, proposed in candidates.items():
        movable = [p for p in pods if p.node == name and may_go(p, pod)]
        for size in range(1, len(proposed) + 1):
            for victims in combinations(movable, size):
                cost = harm(victims, budgets)
                if strict and cost[0]:
                    continue
                if (name not in best or cost < best[name]) and fits_without(
                    pod, nodes, pods, victims, name
                ):
                    best[name] = cost

    by_uid = {p.uid: p for p in pods}
    for name, answer in decision.value.items():
        chosen = [by_uid[uid] for uid in answer.uids]
        assert all(victim.node == name and may_go(victim, pod) for victim in chosen)
        assert len(chosen) <= len(candidates[name])
        assert [v.priority for v in chosen] == sorted((v.priority for v in chosen), reverse=True)
        assert fits_without(pod, nodes, pods, chosen, name)
        assert harm(chosen, budgets) == best[name]
        assert answer.pdb_violations == best[name][0]
    if keep == "all":
        assert set(decision.value) == set(best)
    elif best:
        (name,) = decision.value
        assert best[name] == min(best.values())
    else:
        assert decision.value == {}


def propose(
    data: st.DataObject, nodes: list[Node], pods: list[Pod]
) -> Mapping[str, tuple[str, ...]]:
    """Draw what a scheduler might propose: for each node most of its pods, at least one."""
    candidates = {}
    for node in nodes:
        there = [pod.uid for pod in pods if pod.node == node.name]
        left_out = data.draw(st.sets(st.sampled_from(there), max_size=len(there) // 2))
        candidates[node.name] = tuple(uid for uid in there if uid not in left_out)
    return candidates
