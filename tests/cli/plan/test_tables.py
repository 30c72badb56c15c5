from __future__ import annotations

from typing import Any

from rich.console import Console

from moorage_cli.plan.tables import render_plan, render_plans
from moorage_crds.plan import PlacementPlan

BODY: dict[str, Any] = {
    "metadata": {"name": "fix-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {
        "trigger": "Unschedulable",
        "mode": "Recommend",
        "moves": [
            {
                "index": 0,
                "step": 0,
                "kind": "Move",
                "pod": {"namespace": "ns", "name": "[old]", "uid": "u"},
                "from": "x",
                "to": "y",
                "strategy": "SurgeFirst",
                "reason": "frees a node",
            }
        ],
        "certificate": {
            "status": "Feasible",
            "tiers": [{"priority": 10, "placed": 3, "bound": 4}],
        },
    },
}


def shown(renderable: Any) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_a_new_plan_shows_its_moves_and_what_is_proven() -> None:
    text = shown(render_plan(PlacementPlan.read(BODY)))
    for part in ("fix-1", "Recommend", "ns/[old]", "Move (SurgeFirst)", "frees a node", "Waiting"):
        assert part in text
    assert "priority 10: 3 placed of at most 4" in text


def test_a_plan_that_waits_says_what_for() -> None:
    condition = {
        "type": "Progressing",
        "status": "False",
        "reason": "BudgetClosed",
        "message": "guard allows none",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    move = {"index": 0, "phase": "Evicting", "message": "guard allows none"}
    status = {
        "phase": "Executing",
        "progress": "0/1",
        "moves": [move],
        "conditions": [condition],
    }
    plan = PlacementPlan.read({**BODY, "status": status})
    assert "BudgetClosed: guard allows none" in shown(render_plans([plan]))
    text = shown(render_plan(plan))
    assert "Evicting" in text
    assert "frees a node" not in text  # what it waits for matters more now
