from __future__ import annotations

from typing import Any

import pytest

from moorage_policies.scoring import Ranker
from moorage_policies.testing import make_node, make_pod

CLASS = "nvidia.com/gpu.product"


def _request(nodes: list[str], gpus: int = 4, **spec: Any) -> dict[str, Any]:
    resources = {"requests": {"nvidia.com/gpu": str(gpus)}}
    spec = {"containers": [{"name": "c", "resources": resources}], **spec}
    meta = {"name": "new", "namespace": "default", "uid": "uid-new"}
    return {"Pod": {"metadata": meta, "spec": spec}, "Nodes": None, "NodeNames": nodes}


def _prefers(value: str) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": CLASS, "operator": "In", "values": [value]}]}
    node = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}]}
    return {"nodeAffinity": node}


async def _scores(extender: Any, request: dict[str, Any]) -> dict[str, int]:
    answer = await extender.ask("prioritize", request)
    return {entry["Host"]: entry["Score"] for entry in answer}


async def test_preferred_affinity_wins_where_the_user_asked(extender: Any) -> None:
    extender.told(
        [make_node("half", labels={CLASS: "A100"}), make_node("whole", labels={CLASS: "H100"})],
        [make_pod("p", gpus=4, node="half")],
    )
    nodes = ["half", "whole"]
    assert await _scores(extender, _request(nodes)) == {"half": 10, "whole": 0}
    wish = _request(nodes, affinity=_prefers("H100"))
    assert await _scores(extender, wish) == {"half": 0, "whole": 10}
    newest = (await extender.decisions())[0]
    assert newest["node"] == "whole"
    assert newest["best"][0]["points"]["preferred-nodes"] == 4.0
    assert "preferred-nodes 4.00" in newest["reason"]


async def test_scores_form_grades_the_others(start_extender: Any) -> None:
    extender = await start_extender(ranking_form="scores")
    extender.told(
        [make_node(name) for name in "abc"],
        [make_pod("p", gpus=4, node="a"), make_pod("q", gpus=2, node="b")],
    )
    scores = await _scores(extender, _request(["a", "b", "c"]))
    assert scores["a"] == 10
    assert 0 <= min(scores.values()) < max(scores["b"], scores["c"]) <= 9


async def test_unknown_nodes_get_zero(extender: Any) -> None:
    extender.told([make_node("a")])
    assert await _scores(extender, _request(["new", "a"])) == {"new": 0, "a": 10}
    assert await _scores(extender, _request(["new", "newer"])) == {"new": 0, "newer": 0}
    assert await _scores(extender, _request([])) == {}


async def test_rows_follow_nodes_that_come_and_go(extender: Any) -> None:
    """The list of names is remembered by its bytes; the rows behind it must not be."""
    half = make_pod("p", gpus=4, node="b")
    extender.told([make_node("a"), make_node("b")], [half])
    assert await _scores(extender, _request(["a", "b"])) == {"a": 0, "b": 10}
    extender.told([make_node("c"), make_node("b"), make_node("a")], [half])
    assert await _scores(extender, _request(["a", "b"])) == {"a": 0, "b": 10}
    extender.told([make_node("a"), make_node("c")])
    assert await _scores(extender, _request(["a", "b"])) == {"a": 10, "b": 0}


async def test_out_of_time_scores_are_equal_and_it_is_counted(extender: Any) -> None:
    extender.told([make_node("a"), make_node("b")])
    extender.clock.step_s = 0.31
    assert await _scores(extender, _request(["a", "b"])) == {"a": 0, "b": 0}
    for reason in ("deadline", "no-score"):
        series = f'moorage_extender_degraded_total{{reason="{reason}",verb="prioritize"}}'
        assert await extender.metric(series) == 1
    series = 'moorage_extender_request_seconds_count{outcome="neutral",verb="prioritize"}'
    assert await extender.metric(series) == 1


async def test_time_for_some_scorers_uses_those(extender: Any) -> None:
    extender.told([make_node("a", labels={CLASS: "A100"}), make_node("b", labels={CLASS: "H100"})])
    extender.clock.step_s = 0.16  # two looks: when the request came, and before the first scorer
    wish = _request(["a", "b"], affinity=_prefers("H100"))
    assert await _scores(extender, wish) == {"a": 0, "b": 10}
    (record,) = await extender.decisions()
    assert record["outcome"] == "partial"
    assert "fragmentation" in record["dropped"]


async def test_before_the_cluster_is_listed_scores_are_equal(extender: Any) -> None:
    extender.ctx.listed = lambda: False
    assert await _scores(extender, _request(["a", "b"])) == {"a": 0, "b": 0}


async def test_our_own_bug_gives_equal_scores_and_no_trace(
    extender: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret of ours")

    extender.told([make_node("a"), make_node("b")])
    monkeypatch.setattr(Ranker, "rank", broken)
    status, body = await extender.send("prioritize", _request(["a", "b"]))
    assert status == 200
    assert body == b'[{"Host":"a","Score":0},{"Host":"b","Score":0}]'
    series = 'moorage_extender_degraded_total{reason="internal",verb="prioritize"}'
    assert await extender.metric(series) == 1


async def test_only_the_last_decisions_are_kept(start_extender: Any) -> None:
    extender = await start_extender(decisions_kept=3)
    extender.told([make_node("a"), make_node("b")])
    for number in range(5):
        request = _request(["a", "b"])
        request["Pod"]["metadata"]["name"] = f"pod-{number}"
        await extender.ask("prioritize", request)
    names = [record["pod"] for record in await extender.decisions()]
    assert names == ["default/pod-4", "default/pod-3", "default/pod-2"]
    status, text = await extender.get("/debug/decisions/default/pod-3")
    assert status == 200
    assert "pod-3" in text
    assert (await extender.get("/debug/decisions/default/pod-0"))[1] == "[]"
    assert (await extender.get("/debug/decisions?limit=0"))[0] == 422


async def test_node_names_are_escaped(extender: Any) -> None:
    names = ['a"b', "c\\d", "é"]
    assert list(await _scores(extender, _request(names))) == names
