from __future__ import annotations

import asyncio
from typing import Any

import pytest
from typer.testing import CliRunner

from moorage_cli.why.command import app
from moorage_cli.why.records import ask_address
from moorage_policies.testing import make_node, make_pod

CLASS = "nvidia.com/gpu.product"
TERM = {"matchExpressions": [{"key": CLASS, "operator": "In", "values": ["H100"]}]}
WISH = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": TERM}]}


@pytest.mark.parametrize("form", ["top-node", "scores"])
async def test_the_numbers_add_up_to_what_kube_scheduler_received(
    start_extender: Any, form: str
) -> None:
    extender = await start_extender(ranking_form=form)
    extender.told(
        [make_node(f"n{i}", labels={CLASS: "H100" if i % 2 else "A100"}) for i in range(4)],
        [make_pod("p", gpus=3, node="n1"), make_pod("q", gpus=4, node="n2")],
    )
    resources = {"requests": {"nvidia.com/gpu": "4"}}
    spec = {"containers": [{"name": "c", "resources": resources}]}
    pod = {
        "metadata": {"name": "new", "namespace": "team", "uid": "u"},
        "spec": {**spec, "affinity": {"nodeAffinity": WISH}},
    }
    names = [f"n{i}" for i in range(4)]
    answer = await extender.ask("prioritize", {"Pod": pod, "Nodes": None, "NodeNames": names})
    received = {entry["Host"]: entry["Score"] for entry in answer}

    [decision] = await ask_address(extender.health_url, "team", "new")
    assert decision.form == form
    assert {one.node: one.score for one in decision.best} == received
    for one in decision.best:
        assert sum(one.points.values()) == pytest.approx(one.total, abs=1e-9)
        assert set(one.points) == set(decision.weights)
        assert all(0 <= v <= decision.weights[name] for name, v in one.points.items())
    totals = [one.total for one in decision.best]
    assert decision.best[0].node == decision.node
    assert totals == sorted(totals, reverse=True)

    arguments = ["team/new", "--extender", extender.health_url]
    shown = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert shown.exit_code == 0
    for text in ("preferred-nodes", "fragmentation", "total", "sent to kube-scheduler", form):
        assert text in shown.stdout


async def test_a_pod_that_nobody_asked_about_is_an_error_with_a_remedy(extender: Any) -> None:
    shown = await asyncio.to_thread(
        CliRunner().invoke, app, ["ghost", "--extender", extender.health_url]
    )
    assert shown.exit_code != 0
    assert "schedulerName" in str(shown.exception)
