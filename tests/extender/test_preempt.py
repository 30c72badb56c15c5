from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moorage_extender.planner.answers import Said
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import DisruptionBudget, LabelSelector

RECORDED = Path(__file__).with_name("data") / "cap-preempt-1.request.json"
POD: dict[str, Any] = json.loads(RECORDED.read_text())["Pod"]  # priority 100000, 4 GPUs


def _request(**candidates: str) -> dict[str, Any]:
    meta = {
        node: {"Pods": [{"UID": uid} for uid in uids.split()], "NumPDBViolations": 0}
        for node, uids in candidates.items()
    }
    return {"Pod": POD, "NodeNameToVictims": None, "NodeNameToMetaVictims": meta}


def _victim(uid: str, node: str, priority: int = 10, **fields: Any) -> Any:
    return make_pod(uid, uid=uid, gpus=8, node=node, priority=priority, **fields)


async def _victims(extender: Any, request: dict[str, Any]) -> dict[str, list[str]]:
    answer = await extender.ask("preempt", request)
    assert list(answer) == ["NodeNameToMetaVictims"]
    chosen = answer["NodeNameToMetaVictims"]
    return {node: [pod["UID"] for pod in victims["Pods"]] for node, victims in chosen.items()}


async def test_the_lowest_priority_goes(extender: Any) -> None:
    extender.told(
        [make_node("a"), make_node("b")], [_victim("v-a", "a", 50), _victim("v-b", "b", 10)]
    )
    assert await _victims(extender, _request(a="v-a", b="v-b")) == {"b": ["v-b"]}
    (record,) = await extender.decisions()
    assert (record["verb"], record["node"], record["victims"]) == ("preempt", "b", {"b": ["v-b"]})
    assert await extender.metric("moorage_extender_victims_total") == 1


async def test_an_equal_or_higher_priority_is_vetoed_even_if_the_scheduler_named_it(
    extender: Any,
) -> None:
    extender.told([make_node("a")], [_victim("v-a", "a", 100_000)])
    assert await _victims(extender, _request(a="v-a")) == {}
    assert await extender.metric("moorage_extender_preemption_vetoes_total") == 1
    series = 'moorage_extender_request_seconds_count{outcome="veto",verb="preempt"}'
    assert await extender.metric(series) == 1


async def test_disruption_budgets_are_kept(extender: Any) -> None:
    budget = DisruptionBudget("default", "none-may-go", LabelSelector(), disruptions_allowed=0)
    extender.told([make_node("a")], [_victim("v-a", "a")])
    assert await _victims(extender, _request(a="v-a")) == {"a": ["v-a"]}
    extender.ctx.budgets.put(budget)
    assert await _victims(extender, _request(a="v-a")) == {}
    extender.ctx.budgets.drop("default", "none-may-go")
    assert await _victims(extender, _request(a="v-a")) == {"a": ["v-a"]}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"protected_namespaces": ["default"]}, id="protected-namespace"),
        pytest.param({"min_victim_runtime_s": 60.0}, id="ran-too-short"),
    ],
)
async def test_settings_protect_victims(start_extender: Any, settings: dict[str, Any]) -> None:
    extender = await start_extender(**settings)
    victim = _victim("v-a", "a", started_s=extender.ctx.wall_clock() - 30)
    extender.told([make_node("a")], [victim])
    assert await _victims(extender, _request(a="v-a")) == {}


async def test_nobody_is_evicted_on_stale_facts(extender: Any) -> None:
    extender.told([make_node("a")], [_victim("v-a", "a")])
    extender.ctx.why_not_ready = lambda: "pods have no news"
    assert await _victims(extender, _request(a="v-a")) == {}
    series = 'moorage_extender_degraded_total{reason="stale",verb="preempt"}'
    assert await extender.metric(series) == 1
    assert "pods have no news" in (await extender.decisions())[0]["reason"]


async def test_a_victim_that_we_do_not_know_is_not_named(extender: Any) -> None:
    extender.told([make_node("a")], [])
    assert await _victims(extender, _request(a="gone")) == {}


async def test_candidates_without_victims_are_survived(extender: Any) -> None:
    """Newer schedulers may send empty lists: a node that needs no victim."""
    extender.told([make_node("a")])
    for empty in (None, []):
        request = _request()
        request["NodeNameToMetaVictims"] = {"a": {"Pods": empty, "NumPDBViolations": 0}}
        assert set(await _victims(extender, request)) <= {"a"}


@pytest.mark.parametrize(
    ("word", "passes_s"),
    [
        pytest.param(None, 3.0, id="while-it-thinks-for-the-delay"),
        pytest.param("Planned", None, id="while-a-plan-serves-the-pod"),
        pytest.param("Infeasible", 0.0, id="not-when-it-declined"),
    ],
)
async def test_preemption_is_held_back_for_the_planner(
    extender: Any, word: Any, passes_s: float | None
) -> None:
    pod = {**POD, "spec": {**POD["spec"], "schedulerName": "moorage-scheduler"}}
    request = {**_request(a="v-a"), "Pod": pod}
    extender.told([make_node("a")], [_victim("v-a", "a")])
    answers = extender.ctx.answers
    answers.enabled = True
    if word is not None:
        answers.say(POD["metadata"]["uid"], Said(word, ""))
    passed_s = None
    for second in range(10):
        if passed_s is None and await _victims(extender, request):
            passed_s = float(second)
        extender.ctx.wall_clock.now_s += 1.0
    assert passed_s == passes_s


async def test_a_planner_that_does_not_plan_holds_nobody_back(extender: Any) -> None:
    extender.told([make_node("a")], [_victim("v-a", "a")])
    assert not extender.ctx.answers.enabled
    assert await _victims(extender, _request(a="v-a")) == {"a": ["v-a"]}
