from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.hints import NO_SIGNALS, Intent, parse_hint
from moorage_policies.scoring import DEFAULT_WEIGHTS, HintedNodes, Ranker, RankingParams
from moorage_policies.testing import make_node, make_pod, make_snapshot
from moorage_policies.types import Affinity, NodeSelectorTerm, PreferredNodeTerm, Requirement

PRODUCT = "nvidia.com/gpu.product"
NODES = [
    make_node("a", labels={PRODUCT: "NVIDIA-A100-SXM4-80GB"}),
    make_node("h", labels={PRODUCT: "NVIDIA-H100-80GB-HBM3"}),
]


def _ranker(text: str, **weights: float) -> Ranker:
    intents: tuple[Intent, ...] = parse_hint(text).intents
    hinted = HintedNodes(lambda _: intents, lambda _: NO_SIGNALS)
    params = RankingParams(weights={**DEFAULT_WEIGHTS, **weights})
    return Ranker(params, lambda: 0.0, (hinted,))


def test_a_hint_outweighs_saving_room() -> None:
    snapshot = make_snapshot(NODES, [make_pod("p", gpus=7, node="a")])
    rows = np.array([0, 1])
    plain = Ranker(RankingParams(), lambda: 0.0).rank(make_pod("new"), snapshot, rows).value
    hinted = _ranker("prefer H100").rank(make_pod("new"), snapshot, rows).value
    assert plain.chosen == 0
    assert hinted.chosen == 1
    assert hinted.explain(1)["hints"] == DEFAULT_WEIGHTS["hints"]


def test_a_weight_of_zero_switches_hints_off() -> None:
    snapshot = make_snapshot(NODES, [make_pod("p", gpus=7, node="a")])
    ranking = _ranker("prefer H100", hints=0.0).rank(make_pod("n"), snapshot, np.array([0, 1]))
    assert ranking.value.chosen == 0
    assert "hints" not in ranking.value.explain(0)


def test_a_written_affinity_outweighs_a_hint() -> None:
    snapshot = make_snapshot(NODES, [])
    term = NodeSelectorTerm(expressions=(Requirement(PRODUCT, "In", ("NVIDIA-A100-SXM4-80GB",)),))
    affinity = Affinity(preferred_node_terms=(PreferredNodeTerm(100, term),))
    pod = make_pod("new", affinity=affinity)
    rank = _ranker("prefer H100").rank(pod, snapshot, np.array([0, 1]))
    assert rank.value.chosen == 0


@given(st.text(max_size=300))
def test_no_text_moves_a_total_by_more_than_the_weight(text: str) -> None:
    snapshot = make_snapshot(NODES, [make_pod("p", gpus=7, node="a")])
    rows = np.array([0, 1])
    before = Ranker(RankingParams(), lambda: 0.0).rank(make_pod("new"), snapshot, rows).value
    after = _ranker(text).rank(make_pod("new"), snapshot, rows).value
    moved = after.totals - before.totals
    assert (moved >= 0).all()
    assert (moved <= DEFAULT_WEIGHTS["hints"] + 1e-9).all()
    assert sorted(after.rows) == sorted(before.rows)
