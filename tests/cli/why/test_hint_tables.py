from __future__ import annotations

import io

from rich.console import Console

from moorage_cli.why.records import Candidate, Decision, Hint, HintIntent
from moorage_cli.why.tables import describe_intent, render


def _shown(decision: Decision) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(render([decision]))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_hint_is_shown_with_what_each_intent_added_and_what_was_not_understood() -> None:
    h100 = {"class": "Accelerator", "target": "h100", "weight": "High"}
    avoid = {"class": "NodeLabel", "sign": "Avoid", "target": "spot"}
    hint = Hint(
        "H100, [bold]no spot, qux",
        "counted",
        intents=[
            HintIntent(h100, "1 of 2 nodes are h100", {"a": 0.75, "b": 0.0}),
            HintIntent(avoid, "no node tells whether it is spot"),
        ],
        not_understood=["qux"],
    )
    best = [Candidate("a", 10, 2.25, {"hints": 2.25}), Candidate("b", 0, 0.0, {"hints": 0.0})]
    text = _shown(Decision("t/p", "u", "why", best=best, weights={"hints": 3.0}, hint=hint))
    assert "Hint (counted): H100, [bold]no spot, qux" in text
    [row] = [line for line in text.splitlines() if "Accelerator h100" in line]
    assert "High" in row
    assert "2.2500" in row  # 0.75 of the scorer's weight
    assert "NodeLabel avoid spot" in text
    assert "Not understood: qux" in text


def test_without_a_hint_nothing_is_said_of_hints() -> None:
    best = [Candidate("a", 10, 1.0, {"fragmentation": 1.0})]
    assert "Hint" not in _shown(Decision("t/p", "u", "why", best=best))


def test_amounts_and_domains_are_spelled_out() -> None:
    amount = {"resource": "memory", "op": ">=", "value": 300, "unit": "GiB"}
    assert describe_intent({"class": "Quantity", "quantity": amount}) == (
        "Quantity free memory >= 300 GiB"
    )
    apart = {"class": "AntiAffinity", "target": "etcd", "topologyKey": "rack"}
    assert describe_intent(apart) == "AntiAffinity etcd per rack"
