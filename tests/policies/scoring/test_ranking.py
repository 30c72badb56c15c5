from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.errors import BadInputError
from moorage_policies.scoring import (
    DEFAULT_WEIGHTS,
    Ranker,
    Ranking,
    RankingParams,
    WeightOverride,
)
from moorage_policies.state import Snapshot
from moorage_policies.testing import make_node, make_pod, make_snapshot
from moorage_policies.types import (
    NVIDIA_GPU,
    Affinity,
    LabelSelector,
    NodeSelectorTerm,
    Pod,
    PodAffinityTerm,
    PreferredNodeTerm,
    PreferredPodTerm,
    Requirement,
    TopologySpread,
)

CLASS = "nvidia.com/gpu.product"
ZONE = "topology.kubernetes.io/zone"
WISH = Affinity(
    preferred_node_terms=(
        PreferredNodeTerm(1, NodeSelectorTerm((Requirement(CLASS, "In", ("H100",)),))),
    )
)


def _rank(
    pod: Pod, snapshot: Snapshot, params: RankingParams | None = None, names: str | None = None
) -> Ranking:
    picked = names.split() if names else snapshot.node_names
    rows = np.array([snapshot.node_index[name] for name in picked], dtype=np.int64)
    return Ranker(params or RankingParams(), lambda: 0.0).rank(pod, snapshot, rows).value


def _chosen(ranking: Ranking, snapshot: Snapshot) -> str:
    assert ranking.chosen is not None
    return snapshot.node_names[ranking.rows[ranking.chosen]]


nodes = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from(["H100", "A100"]), st.booleans()),
    min_size=1,
    max_size=8,
)


@given(nodes=nodes, gpus=st.integers(0, 8), share=st.sampled_from([1, 2, 8]))
@settings(max_examples=60)
def test_what_the_user_prefers_wins_over_all_of_our_own_scorers(
    nodes: list[tuple[int, str, bool]], gpus: int, share: int
) -> None:
    snapshot = make_snapshot(
        [
            make_node(f"n{i}", labels={CLASS: kind}, images={"engine:1": 2**30} if image else {})
            for i, (_, kind, image) in enumerate(nodes)
        ],
        [
            make_pod(f"p{i}-{k}", gpus=1, node=f"n{i}")
            for i, (used, _, _) in enumerate(nodes)
            for k in range(used)
        ],
    )
    pod = make_pod("new", gpus=gpus, affinity=WISH, images=("engine:1",))
    chosen = _chosen(_rank(pod, snapshot), snapshot)
    liked = {node.name for node in snapshot.nodes if node.labels[CLASS] == "H100"}
    assert not liked or chosen in liked


def test_fragmentation_alone_would_have_decided_against_the_wish() -> None:
    snapshot = make_snapshot(
        [make_node("whole", labels={CLASS: "H100"}), make_node("half", labels={CLASS: "A100"})],
        [make_pod("p", gpus=4, node="half")],
    )
    assert _chosen(_rank(make_pod("new", gpus=4), snapshot), snapshot) == "half"
    assert _chosen(_rank(make_pod("new", gpus=4, affinity=WISH), snapshot), snapshot) == "whole"


def test_preferred_neighbours_and_soft_spread_win_too() -> None:
    web = LabelSelector((Requirement("app", "In", ("web",)),))
    zones = [make_node("whole", labels={ZONE: "a"}), make_node("half", labels={ZONE: "b"})]
    filler = make_pod("p", gpus=4, node="half", labels={"app": "web"})
    snapshot = make_snapshot(zones, [filler])
    term = PreferredPodTerm(1, PodAffinityTerm(ZONE, web))
    away = make_pod("new", gpus=4, affinity=Affinity(preferred_pod_anti_affinity=(term,)))
    assert _chosen(_rank(away, snapshot), snapshot) == "whole"
    spread = (TopologySpread(ZONE, 1, hard=False, selector=web),)
    even = make_pod("new", gpus=4, labels={"app": "web"}, spread=spread)
    assert _chosen(_rank(even, snapshot), snapshot) == "whole"


def test_equal_nodes_go_to_the_fullest_then_by_name() -> None:
    only_images = RankingParams(weights={"local-images": 1.0})  # no opinion here: all totals tie
    snapshot = make_snapshot(
        [make_node("d"), make_node("c"), make_node("b"), make_node("a", cpu_m=32_000)],
        [make_pod(f"p-{name}", gpus=2, node=name) for name in "cba"],
    )
    pod = make_pod("new")
    ranking = _rank(pod, snapshot, only_images)
    assert ranking.tied == 4
    assert _chosen(ranking, snapshot) == "a"  # 6 GPUs free like b and c, fewer cores free
    assert _chosen(_rank(pod, snapshot, only_images, "d c b"), snapshot) == "b"
    assert _chosen(_rank(pod, snapshot, only_images, "d c"), snapshot) == "c"


@given(order=st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_candidates_decides_nothing(order: list[str]) -> None:
    snapshot = make_snapshot(
        [make_node(name) for name in "abcd"], [make_pod("p", gpus=3, node="c")]
    )
    ranking = _rank(make_pod("new"), snapshot, names=" ".join(order))
    assert _chosen(ranking, snapshot) == "c"
    assert sorted(zip(order, ranking.scores.tolist(), strict=True)) == [
        ("a", 0), ("b", 0), ("c", 10), ("d", 0),
    ]  # fmt: skip


def test_scores_form_spreads_and_keeps_ten_for_the_chosen_node() -> None:
    nodes = [make_node(name) for name in "abcd"]
    placed = [make_pod("p", gpus=7, node="a"), make_pod("q", gpus=4, node="b")]
    snapshot = make_snapshot(nodes, placed)
    ranking = _rank(make_pod("new"), snapshot, RankingParams(form="scores"))
    chosen = ranking.chosen
    assert chosen is not None
    assert ranking.scores[chosen] == 10
    others = np.delete(ranking.scores, chosen)
    assert others.max() <= 9
    assert others.min() == 0
    order = np.argsort(-ranking.totals, kind="stable")
    assert (np.diff(ranking.scores[order]) <= 0).all()


def test_equal_totals_in_scores_form_still_name_one() -> None:
    snapshot = make_snapshot([make_node(name) for name in "abc"])
    ranking = _rank(make_pod("new"), snapshot, RankingParams(form="scores"))
    assert ranking.scores.tolist() == [10, 9, 9]


@pytest.mark.parametrize("form", ["scores", "top-node", "deciding-filter"])
def test_no_candidates_no_choice(form: str) -> None:
    snapshot = make_snapshot([])
    params = RankingParams(form=form)  # type: ignore[arg-type]
    decision = Ranker(params, lambda: 0.0).rank(
        make_pod("new"), snapshot, np.zeros(0, dtype=np.int64)
    )
    assert decision.value.chosen is None
    assert decision.value.scores.tolist() == []
    assert decision.value.best(3).tolist() == []
    assert decision.reason == "no candidate to rank"


def test_the_deadline_drops_what_is_left_and_says_so() -> None:
    ticks = itertools.count()  # every look at the clock takes a second
    snapshot = make_snapshot([make_node("a"), make_node("b", labels={CLASS: "H100"})])
    ranker = Ranker(RankingParams(), lambda: float(next(ticks)))
    rows = np.array([0, 1])
    ranking = ranker.rank(make_pod("new", affinity=WISH), snapshot, rows, deadline_s=1.0).value
    assert [part.name for part in ranking.parts] == ["preferred-nodes"]
    assert ranking.dropped == tuple(n for n in _asked_in_order() if n != "preferred-nodes")
    assert _chosen(ranking, snapshot) == "b"


def test_a_deadline_long_gone_gives_equal_totals() -> None:
    snapshot = make_snapshot([make_node("a"), make_node("b")])
    ranker = Ranker(RankingParams(), lambda: 5.0)
    decision = ranker.rank(make_pod("new"), snapshot, np.array([0, 1]), deadline_s=5.0)
    assert decision.value.parts == ()
    assert decision.value.totals.tolist() == [0.0, 0.0]
    assert decision.inputs["dropped"] == _asked_in_order()


def _asked_in_order() -> tuple[str, ...]:
    return (
        "preferred-nodes",
        "preferred-neighbours",
        "soft-spread",
        "soft-taints",
        "heterogeneity",
        "fragmentation",
        "local-images",
        "energy",
        "interference",
    )


def test_a_weight_of_zero_silences_a_scorer() -> None:
    snapshot = make_snapshot([make_node("a"), make_node("b")], [make_pod("p", gpus=7, node="b")])
    silent = RankingParams(weights={**DEFAULT_WEIGHTS, "fragmentation": 0.0})
    ranking = _rank(make_pod("new"), snapshot, silent)
    assert "fragmentation" not in [part.name for part in ranking.parts]


def test_the_explanation_adds_up_to_the_total() -> None:
    snapshot = make_snapshot(
        [make_node("a", labels={CLASS: "H100"}), make_node("b")], [make_pod("p", node="b")]
    )
    decision = Ranker(RankingParams(), lambda: 0.0).rank(
        make_pod("new", affinity=WISH), snapshot, np.array([0, 1])
    )
    ranking = decision.value
    for index in range(2):
        assert sum(ranking.explain(index).values()) == pytest.approx(
            ranking.totals[index], abs=1e-3
        )
    assert ranking.best(5).tolist() == [0, 1]
    assert "preferred-nodes 4.00" in decision.reason


@pytest.mark.parametrize(
    ("params", "field"),
    [
        pytest.param({"weights": {"luck": 1.0}}, "weights", id="unknown-scorer"),
        pytest.param(
            {"weights": {"fragmentation": -1.0}}, "weights.fragmentation", id="negative-weight"
        ),
        pytest.param(
            {"weights": {"fragmentation": float("nan")}}, "weights.fragmentation", id="not-a-number"
        ),
        pytest.param({"accelerators": ()}, "accelerators", id="no-accelerator"),
    ],
)
def test_bad_parameters_name_the_field(params: dict[str, object], field: str) -> None:
    with pytest.raises(BadInputError, match=field) as caught:
        RankingParams(**params)  # type: ignore[arg-type]
    assert caught.value.field == field


OVERRIDES = (
    WeightOverride({"fragmentation": 0.0}, pools=frozenset({"team/chat"})),
    WeightOverride({"fragmentation": 2.0, "energy": 0.0}, lowest_priority=100),
    WeightOverride({"fragmentation": 5.0}, frozenset({"team/chat"}), 100, 200),
)


@pytest.mark.parametrize(
    ("namespace", "pool", "priority", "expected"),
    [
        pytest.param("team", "chat", 0, (0.0, 0.2), id="by-pool"),
        pytest.param("other", "chat", 0, (1.0, 0.2), id="a-pool-of-another-namespace"),
        pytest.param("team", "", 100, (2.0, 0.0), id="by-priority"),
        pytest.param("team", "chat", 100, (5.0, 0.0), id="later-ones-win"),
        pytest.param("team", "chat", 201, (2.0, 0.0), id="above-the-highest"),
    ],
)
def test_pools_and_priorities_may_have_weights_of_their_own(
    namespace: str, pool: str, priority: int, expected: tuple[float, float]
) -> None:
    labels = {"moorage.dev/pool": pool} if pool else {}
    pod = make_pod("new", namespace=namespace, labels=labels, priority=priority)
    snapshot = make_snapshot([make_node("a"), make_node("b")], [make_pod("p", gpus=7, node="b")])
    params = RankingParams(overrides=OVERRIDES)
    weights = params.weights_of(pod)
    assert (weights["fragmentation"], weights["energy"]) == expected
    asked = {part.name: part.weight for part in _rank(pod, snapshot, params).parts}
    assert asked.get("fragmentation", 0.0) == expected[0]


def test_another_way_to_rank_holds_from_then_on() -> None:
    snapshot = make_snapshot([make_node("a"), make_node("b")], [make_pod("p", gpus=7, node="b")])
    ranker = Ranker(RankingParams(), lambda: 0.0)
    pod, rows = make_pod("new"), np.array([0, 1])
    assert {part.name for part in ranker.rank(pod, snapshot, rows).value.parts} == {"fragmentation"}
    ranker.adopt(RankingParams(weights={"local-images": 1.0}, form="scores"))
    after = ranker.rank(pod, snapshot, rows).value
    assert (after.parts, after.form) == ((), "scores")


def test_the_default_weights_keep_their_promise() -> None:
    written = ("preferred-nodes", "preferred-neighbours", "soft-spread", "soft-taints")
    hint = DEFAULT_WEIGHTS["hints"]
    ours = sum(w for name, w in DEFAULT_WEIGHTS.items() if name not in (*written, "hints"))
    # images go from 0 to 1, so do stranded GPUs: together they never outweigh one full wish
    assert all(DEFAULT_WEIGHTS[name] > hint > ours for name in written)
    assert RankingParams().accelerators == (NVIDIA_GPU,)
