"""Alerts and dashboards ask for metrics that the programs have."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from moorage_extender.metrics import Metrics as ExtenderMetrics
from moorage_extender.probe.prober import Prober
from moorage_extender.probe.settings import ProbeSettings
from moorage_operator.metrics import Metrics as OperatorMetrics


@pytest.fixture(scope="module")
def served(root: Path) -> set[str]:
    """Names of all series of ours, the gauges that are added at run time included."""
    probe = Prober(ProbeSettings(node="n"), time.monotonic)
    registries = (ExtenderMetrics().registry, OperatorMetrics().registry, probe.registry)
    families = [family for registry in registries for family in registry.collect()]
    names = {family.name for family in families if family.type == "gauge"}
    names |= {f"{family.name}_total" for family in families if family.type == "counter"}
    for family in families:
        if family.type == "histogram":
            names |= {f"{family.name}{end}" for end in ("_bucket", "_count", "_sum")}
    for package in ("extender/moorage_extender", "operator/moorage_operator"):
        for path in (root / package).rglob("*.py"):
            names |= set(re.findall(r'\.watch\(\s*"(moorage_\w+)"', path.read_text()))
    return names


def alerts(root: Path) -> list[dict[str, Any]]:
    document = yaml.safe_load((root / "charts/moorage/files/alerts.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard_panels(root: Path) -> list[dict[str, Any]]:
    text = (root / "charts/moorage/files/dashboards/moorage.json").read_text()
    panels: list[dict[str, Any]] = json.loads(text)["panels"]
    return panels


def expressions(root: Path) -> list[str]:
    shown = [t["expr"] for panel in dashboard_panels(root) for t in panel.get("targets", ())]
    return [alert["expr"] for alert in alerts(root)] + [
        expr.replace("$__rate_interval", "5m") for expr in shown
    ]


def selectors(node: Any) -> Iterator[Any]:
    """Every vector selector below a node of a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs", "param"):
        child = getattr(node, name, None)
        if child is not None:
            yield from selectors(child)
    args = getattr(node, "args", None)
    for child in args if isinstance(args, list) else ():
        yield from selectors(child)


def test_every_expression_parses_and_asks_for_what_is_served(root: Path, served: set[str]) -> None:
    for expression in expressions(root):
        asked = [selector.name for selector in selectors(promql_parser.parse(expression))]
        assert asked, expression
        assert set(re.findall(r"moorage_\w+", expression)) == set(asked), expression
        assert set(asked) <= served, expression


def test_the_dashboard_shows_every_metric_of_ours(root: Path, served: set[str]) -> None:
    shown = {
        name for expression in expressions(root) for name in re.findall(r"moorage_\w+", expression)
    }
    left_out = {name for name in served if name.startswith("moorage_")} - shown
    assert {name for name in left_out if not name.endswith(("_sum", "_count", "_bucket"))} == set()


def test_alerts_say_what_happens_and_where_to_look(root: Path) -> None:
    for alert in alerts(root):
        assert alert["labels"]["severity"] in {"info", "warning", "critical"}
        assert set(alert["annotations"]) == {"summary", "description"}
        assert alert["for"]
    names = [alert["alert"] for alert in alerts(root)]
    assert len(names) == len(set(names))


def test_panels_have_an_id_and_a_place_each(root: Path) -> None:
    ids = [panel["id"] for panel in dashboard_panels(root)]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard_panels(root):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
