"""Decisions as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from moorage_cli.why.records import Decision, HintIntent

FORMS = {
    "top-node": "the chosen node is sent as 10, all others as 0",
    "scores": "totals are spread over 0 to 9, the chosen node alone is sent as 10",
    "deciding-filter": "filter names the chosen node alone",
}


def render(decisions: Sequence[Decision]) -> Group:
    """The ranking that counts, if there was one, and every decision before and after it."""
    ranked = next((decision for decision in decisions if decision.best), None)
    parts: list[RenderableType] = []
    if ranked is not None:
        parts += [Text(ranked.reason), _scores(ranked), *_footnotes(ranked), *_hint(ranked)]
    return Group(*parts, _history(decisions))


def _scores(decision: Decision) -> Table:
    """Points of each scorer by node; the columns add up to the total."""
    names = list(dict.fromkeys(name for one in decision.best for name in one.points))
    table = Table(
        title=f"{decision.pod}: best of {decision.candidates} nodes", title_justify="left"
    )
    table.add_column("scorer")
    table.add_column("weight", justify="right")
    for one in decision.best:
        table.add_column(one.node, justify="right", overflow="fold")
    for name in names:
        weight = decision.weights.get(name)
        points = (one.points.get(name) for one in decision.best)
        cells = ("" if value is None else f"{value:.4f}" for value in points)
        table.add_row(name, "" if weight is None else f"{weight:g}", *cells)
    table.add_section()
    table.add_row("total", "", *(f"{one.total:.4f}" for one in decision.best), style="bold")
    table.add_row("sent to kube-scheduler", "", *(str(one.score) for one in decision.best))
    return table


def _footnotes(decision: Decision) -> Iterator[Text]:
    if decision.form in FORMS:
        yield Text(f"Form {decision.form}: {FORMS[decision.form]}.")
    if decision.dropped:
        yield Text(f"The deadline left no time for {', '.join(decision.dropped)}.", "yellow")


def _hint(decision: Decision) -> Iterator[RenderableType]:
    """The hint: its intents with what each added to the scorer ``hints``, and what was left."""
    hint = decision.hint
    if hint is None:
        return
    yield Text(f"Hint ({hint.outcome}): {hint.text}")
    if hint.problem:
        yield Text(f"moorage.dev/hint-intents is not used: {hint.problem}", "yellow")
    if hint.intents:
        yield _intents(hint.intents, decision)
    if hint.not_understood:
        yield Text(f"Not understood: {'; '.join(hint.not_understood)}", "yellow")


def _intents(intents: Sequence[HintIntent], decision: Decision) -> Table:
    """Points of each intent by node; the columns add up to the scorer ``hints``."""
    weight = decision.weights.get("hints", 0.0)
    table = Table(title="what the hint added", title_justify="left")
    for title in ("intent", "weight", "looked at"):
        table.add_column(title, overflow="fold")
    for one in decision.best:
        table.add_column(one.node, justify="right", overflow="fold")
    for said in intents:
        added = (said.added.get(one.node) for one in decision.best)
        cells = ("" if value is None else f"{weight * value:.4f}" for value in added)
        wish = Text(describe_intent(said.intent))
        table.add_row(wish, said.intent.get("weight", "Medium"), Text(said.reason), *cells)
    return table


def describe_intent(intent: Mapping[str, Any]) -> str:
    """One wish in few words."""
    words = [intent["class"], "avoid" if intent.get("sign") == "Avoid" else ""]
    words.append(intent.get("target", ""))
    amount = intent.get("quantity")
    if amount:
        measure = amount.get("measure", "Free").lower()
        words += [measure, amount["resource"], amount["op"]]
        words += [str(amount[key]) for key in ("value", "unit") if key in amount]
    if "topologyKey" in intent:
        words.append(f"per {intent['topologyKey']}")
    return " ".join(word for word in words if word)


def _history(decisions: Sequence[Decision]) -> Table:
    table = Table(title="decisions, newest first", title_justify="left")
    for title in ("when", "verb", "outcome", "node", "why"):
        table.add_column(title, overflow="fold")
    for decision in decisions:
        when = datetime.fromtimestamp(decision.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        table.add_row(
            f"{when}Z", decision.verb, decision.outcome, decision.node, Text(_why(decision))
        )
    return table


def _why(decision: Decision) -> str:
    refused = "; ".join(f"{count} x {reason}" for reason, count in decision.refused.items())
    victims = "; ".join(f"{node}: {len(uids)} victims" for node, uids in decision.victims.items())
    return "; ".join(part for part in (decision.reason, refused, victims) if part)
