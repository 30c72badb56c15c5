from __future__ import annotations

from typing import Any

import pytest

from moorage_policies.preemption import (
    OPT_OUT_ANNOTATION,
    PreemptionParams,
    Protection,
    Victims,
    choose_victims,
)
from moorage_policies.preemption.victims import PlannerWord
from moorage_policies.state import Snapshot, snapshot_of
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import DisruptionBudget, LabelSelector, Pod, Requirement

NOW_S = 1_000.0
LONG_AGO_S = 0.0
APP_A = LabelSelector((Requirement("app", "In", ("a",)),))


def uid(name: str) -> str:
    return f"pod-default-{name}"


def resident(name: str, node: str = "n", **fields: Any) -> Pod:
    return make_pod(name, **{"node": node, "gpus": 4, "started_s": LONG_AGO_S, **fields})


def cluster(*pods: Pod, nodes: tuple[str, ...] = ("n",)) -> Snapshot:
    return snapshot_of([make_node(name, gpus=8) for name in nodes], pods)


def choose(
    pod: Pod,
    candidates: dict[str, tuple[str, ...]],
    snapshot: Snapshot,
    *budgets: DisruptionBudget,
    params: PreemptionParams | None = None,
    first_failed_s: float | None = NOW_S - 5.0,
    planner: PlannerWord = "silent",
) -> Any:
    return choose_victims(
        pod,
        candidates,
        snapshot,
        budgets,
        params or PreemptionParams(),
        NOW_S,
        first_failed_s=first_failed_s,
        planner=planner,
    )


def test_spares_whom_the_scheduler_would_have_evicted_needlessly() -> None:
    snapshot = cluster(
        resident("small", gpus=2), resident("large", gpus=4), resident("rest", gpus=2)
    )
    pod = make_pod("new", gpus=4, priority=10)
    decision = choose(pod, {"n": (uid("small"), uid("large"))}, snapshot)
    assert decision.value == {"n": Victims((uid("large"),), 0)}


def test_prefers_the_less_important_even_when_they_are_more_but_never_more_than_proposed() -> None:
    pods = (resident("vip", gpus=4, priority=5), resident("x", gpus=2), resident("y", gpus=2))
    pod = make_pod("new", gpus=4, priority=10)
    two = choose(pod, {"n": (uid("vip"), uid("x"))}, cluster(*pods))
    assert two.value == {"n": Victims((uid("x"), uid("y")), 0)}
    one = choose(pod, {"n": (uid("vip"),)}, cluster(*pods))
    assert one.value == {"n": Victims((uid("vip"),), 0)}


def test_victims_come_by_falling_priority() -> None:
    pods = [resident(f"p{i}", gpus=2, priority=priority) for i, priority in enumerate([1, 3, 0, 2])]
    decision = choose(
        make_pod("new", gpus=8, priority=10), {"n": tuple(p.uid for p in pods)}, cluster(*pods)
    )
    assert decision.value == {"n": Victims((uid("p1"), uid("p3"), uid("p0"), uid("p2")), 0)}


def test_the_shortest_run_goes_when_nothing_else_differs() -> None:
    pods = (
        resident("old", started_s=0.0),
        resident("young", started_s=900.0),
    )
    pod = make_pod("new", gpus=4, priority=10)
    decision = choose(pod, {"n": (uid("old"),)}, cluster(*pods))
    assert decision.value == {"n": Victims((uid("young"),), 0)}


def test_a_pod_that_goes_anyway_is_named_before_anybody_else() -> None:
    pods = (resident("stays", priority=0), resident("goes", priority=5, terminating=True))
    decision = choose(make_pod("new", gpus=4, priority=10), {"n": (uid("stays"),)}, cluster(*pods))
    assert decision.value == {"n": Victims((uid("goes"),), 0)}


@pytest.mark.parametrize(
    ("fields", "protection"),
    [
        pytest.param({"priority": 10}, Protection(), id="equal-priority"),
        pytest.param({"priority": 11}, Protection(), id="higher-priority"),
        pytest.param({"namespace": "kube-system"}, Protection(), id="system-namespace"),
        pytest.param(
            {"namespace": "prod"}, Protection(frozenset({"prod"})), id="protected-namespace"
        ),
        pytest.param({"priority": 7}, Protection(from_priority=7), id="protected-priority"),
        pytest.param({"annotations": {OPT_OUT_ANNOTATION: "false"}}, Protection(), id="opted-out"),
        pytest.param(
            {"started_s": NOW_S - 59}, Protection(min_runtime_s=60.0), id="has-just-started"
        ),
    ],
)
def test_who_is_never_evicted(fields: dict[str, Any], protection: Protection) -> None:
    victim = resident("v", gpus=8, **fields)
    decision = choose(
        make_pod("new", gpus=8, priority=10),
        {"n": (victim.uid,)},
        cluster(victim),
        params=PreemptionParams(protection=protection),
    )
    assert decision.value == {}
    assert "nobody may make room" in decision.reason
    assert decision.inputs["dropped"]


def test_a_protected_pod_is_exchanged_for_a_legal_one() -> None:
    pods = (resident("kept", annotations={OPT_OUT_ANNOTATION: "false"}), resident("free"))
    decision = choose(make_pod("new", gpus=4, priority=10), {"n": (uid("kept"),)}, cluster(*pods))
    assert decision.value == {"n": Victims((uid("free"),), 0)}


class TestBudgets:
    pods = (
        resident("guarded", labels={"app": "a"}, priority=1),
        resident("loose", labels={"app": "b"}, priority=5),
    )
    pod = make_pod("new", gpus=4, priority=10)

    def budget(self, allowed: int, **fields: Any) -> DisruptionBudget:
        return DisruptionBudget("default", "pdb", APP_A, allowed, **fields)

    def test_one_with_room_does_not_matter(self) -> None:
        decision = choose(self.pod, {"n": (uid("loose"),)}, cluster(*self.pods), self.budget(1))
        assert decision.value == {"n": Victims((uid("guarded"),), 0)}

    @pytest.mark.parametrize("allowed", [0, -1])
    def test_a_used_up_one_protects_even_against_lower_priority(self, allowed: int) -> None:
        decision = choose(
            self.pod, {"n": (uid("guarded"),)}, cluster(*self.pods), self.budget(allowed)
        )
        assert decision.value == {"n": Victims((uid("loose"),), 0)}

    def test_a_disruption_already_counted_costs_nothing_more(self) -> None:
        decision = choose(
            self.pod,
            {"n": (uid("loose"),)},
            cluster(*self.pods),
            self.budget(0, disrupted_pods=frozenset({"guarded"})),
        )
        assert decision.value == {"n": Victims((uid("guarded"),), 0)}

    def test_an_empty_selector_guards_the_namespace_and_none_guards_nobody(self) -> None:
        everybody = DisruptionBudget("default", "pdb", LabelSelector(), 0)
        nobody = DisruptionBudget("default", "pdb", None, 0)
        candidates = {"n": (uid("guarded"),)}
        assert choose(self.pod, candidates, cluster(*self.pods), everybody).value == {}
        assert choose(self.pod, candidates, cluster(*self.pods), nobody).value

    def test_lenient_mode_counts_what_it_breaks(self) -> None:
        big = make_pod("new", gpus=8, priority=10)
        candidates = {"n": (uid("guarded"), uid("loose"))}
        lenient = PreemptionParams(strict_budgets=False)
        decision = choose(big, candidates, cluster(*self.pods), self.budget(0), params=lenient)
        assert decision.value == {"n": Victims((uid("loose"), uid("guarded")), 1)}
        strict = choose(big, candidates, cluster(*self.pods), self.budget(0))
        assert strict.value == {}


class TestStaleViews:
    pod = make_pod("new", gpus=4, priority=10)

    def test_a_node_with_a_uid_we_do_not_know_is_dropped_alone(self) -> None:
        snapshot = cluster(resident("a", "n", gpus=8), resident("b", "m", gpus=8), nodes=("n", "m"))
        candidates = {"n": (uid("a"), "ghost"), "m": (uid("b"),), "nowhere": (uid("b"),)}
        decision = choose(self.pod, candidates, snapshot)
        assert decision.value == {"m": Victims((uid("b"),), 0)}
        assert decision.inputs["dropped"] == {
            "n": "pod ghost is not on the node",
            "nowhere": "unknown node",
        }

    def test_a_pod_listed_under_the_wrong_node_drops_that_node(self) -> None:
        snapshot = cluster(resident("a", "n", gpus=8), resident("b", "m", gpus=8), nodes=("n", "m"))
        assert choose(self.pod, {"n": (uid("b"),)}, snapshot).value == {}

    def test_room_by_our_books_stops_evictions_for_a_while_only(self) -> None:
        snapshot = cluster(resident("a", gpus=4))
        candidates = {"n": (uid("a"),)}
        early = choose(self.pod, candidates, snapshot, first_failed_s=NOW_S - 9.9)
        assert early.value == {}
        assert "has room" in early.reason
        late = choose(self.pod, candidates, snapshot, first_failed_s=NOW_S - 10.0)
        assert late.value == {"n": Victims((uid("a"),), 0)}

    def test_a_node_listed_without_victims_is_handed_back(self) -> None:
        snapshot = cluster(resident("a", gpus=8), resident("b", "m", gpus=8), nodes=("n", "m"))
        decision = choose(self.pod, {"n": (uid("a"),), "m": ()}, snapshot)
        assert decision.value == {"m": Victims((), 0)}

    def test_constraints_we_do_not_model_leave_the_proposal_whole(self) -> None:
        pod = make_pod("new", gpus=1, priority=10, unsupported=("HostPort",))
        snapshot = cluster(resident("a", gpus=2), resident("b", gpus=2))
        decision = choose(pod, {"n": (uid("a"), uid("b"))}, snapshot)
        assert decision.value == {"n": Victims((uid("a"), uid("b")), 0)}
        guarded = cluster(resident("a", gpus=2), resident("b", gpus=2, priority=10))
        assert choose(pod, {"n": (uid("a"), uid("b"))}, guarded).value == {}


@pytest.mark.parametrize(
    ("first_failed_s", "planner", "evicts"),
    [
        pytest.param(None, "silent", False, id="first-failure"),
        pytest.param(NOW_S - 2.9, "silent", False, id="planner-still-thinks"),
        pytest.param(NOW_S - 3.0, "silent", True, id="planner-was-too-slow"),
        pytest.param(None, "declined", True, id="planner-has-no-way"),
        pytest.param(NOW_S - 60, "serving", False, id="a-plan-serves-the-pod"),
    ],
)
def test_the_planner_goes_first(
    first_failed_s: float | None, planner: PlannerWord, evicts: bool
) -> None:
    snapshot = cluster(resident("a", gpus=8))
    pod = make_pod("new", gpus=4, priority=10)
    decision = choose(
        pod, {"n": (uid("a"),)}, snapshot, first_failed_s=first_failed_s, planner=planner
    )
    assert bool(decision.value) is evicts


def test_a_pod_that_never_preempts_evicts_nobody() -> None:
    pod = make_pod("new", gpus=4, priority=10, preemption="Never")
    decision = choose(pod, {"n": (uid("a"),)}, cluster(resident("a", gpus=8)))
    assert decision.value == {}
    assert "Never" in decision.reason


def test_best_node_alone_or_all_of_them() -> None:
    snapshot = cluster(
        resident("a", "n", gpus=8, priority=3),
        resident("b", "m", gpus=8, priority=2),
        nodes=("n", "m"),
    )
    pod = make_pod("new", gpus=4, priority=10)
    candidates = {"n": (uid("a"),), "m": (uid("b"),)}
    assert set(choose(pod, candidates, snapshot).value) == {"m"}
    both = choose(pod, candidates, snapshot, params=PreemptionParams(keep="all"))
    assert set(both.value) == {"n", "m"}


def test_room_kept_for_a_nominated_pod_is_not_given_away() -> None:
    guest = make_pod("guest", gpus=4, priority=20, nominated_node="n")
    snapshot = cluster(resident("a", gpus=4), resident("b", gpus=4), guest)
    pod = make_pod("new", gpus=4, priority=10)
    one = choose(pod, {"n": (uid("a"),)}, snapshot)
    assert one.value == {}
    two = choose(pod, {"n": (uid("a"), uid("b"))}, snapshot)
    assert set(two.value["n"].uids) == {uid("a"), uid("b")}
