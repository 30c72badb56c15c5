"""What is measured, and what the policy tells, reaches the hints that ask for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from moorage_crds.names import HINT_ANNOTATION
from moorage_policies.network.samples import Report
from moorage_policies.scoring import Draw, RankingParams
from moorage_policies.scoring.load import MAX_AGE_S, Utilisation
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import Node

CLASS = "nvidia.com/gpu.product"
NODES = [
    make_node("a", labels={CLASS: "NVIDIA-A100-SXM4-80GB", "row": "1", "bay": "1"}),
    make_node("h", labels={CLASS: "NVIDIA-H100-80GB-HBM3", "row": "1", "bay": "2"}),
    make_node("t", labels={CLASS: "Tesla-T4", "row": "2", "bay": "1"}),
]


async def chosen(extender: Any, text: str, **labels: str) -> str:
    resources = {"requests": {"nvidia.com/gpu": "1"}}
    meta = {"name": "new", "namespace": "default", "uid": "uid-new", "labels": labels}
    pod = {
        "metadata": {**meta, "annotations": {HINT_ANNOTATION: text}},
        "spec": {"containers": [{"name": "c", "resources": resources}]},
    }
    request = {"Pod": pod, "Nodes": None, "NodeNames": ["a", "h", "t"]}
    await extender.ask("filter", request)  # has the hint read
    answer = await extender.ask("prioritize", request)
    return str(max(answer, key=lambda entry: entry["Score"])["Host"])


async def reason(extender: Any) -> str:
    told = (await extender.decisions())[0]["hint"]["intents"][0]["reason"]
    return str(told)


def measured(now_s: float, cpu_ratios: list[float]) -> Utilisation:
    used = np.full((3, 4), np.nan)
    used[:, 0] = cpu_ratios
    used[:, 1] = 1.0  # memory that is full disturbs nobody
    return Utilisation(now_s, ("t", "h", "a"), used, np.zeros((3, 2)))


async def test_quiet_nodes_are_those_that_are_measured_so(extender: Any) -> None:
    extender.told(NODES)
    extender.ctx.take_load(measured(extender.ctx.clock(), [0.9, 0.1, 0.8]))
    assert await chosen(extender, "a quiet node") == "h"
    assert await reason(extender) == "measured use of the busiest resource"
    extender.clock.now_s += MAX_AGE_S + 1
    assert await chosen(extender, "a quiet node") == "a"
    assert "others leave free" in await reason(extender)


async def test_energy_rests_on_what_the_policy_tells_of_classes(extender: Any) -> None:
    extender.told(NODES)
    assert await chosen(extender, "energy efficient, please") == "a"
    assert "moorage.dev/watts" in await reason(extender)
    draws = {"Tesla-T4": Draw(joules_per_token=1.0), "H100-80GB": Draw(joules_per_token=3.0)}
    extender.ctx.ranker.adopt(RankingParams(draws=draws))
    assert await chosen(extender, "energy efficient, please") == "t"
    assert await reason(extender) == "energy by accelerator class, as the policy tells it"


async def test_quiet_neighbours_are_those_that_disturb_the_pods_class_least(extender: Any) -> None:
    noisy = make_pod("noisy", node="a", labels={"moorage.dev/workload-class": "batch"})
    extender.told(NODES, [noisy])
    slowdowns = {("chat", "batch"): 2.0}
    extender.ctx.ranker.adopt(RankingParams(slowdowns=slowdowns, weights={"hints": 1.0}))
    calm = await chosen(extender, "no noisy neighbours", **{"moorage.dev/workload-class": "chat"})
    assert calm != "a"
    assert await reason(extender) == "what workload classes lose to each other"


async def test_near_follows_the_levels_that_an_admin_named(start_extender: Any) -> None:
    extender = await start_extender(topology_levels=("row", "bay"))
    extender.told([*NODES, _node("z", row="2")], [make_pod("r", node="z", labels={"app": "redis"})])
    assert await chosen(extender, "near redis") == "t"
    assert await reason(extender) == "network levels shared with redis"


async def test_near_is_what_probes_measure(start_extender: Any) -> None:
    extender = await start_extender(network_mode="Recommend")
    extender.told(NODES, [make_pod("r", node="a", labels={"app": "redis"})])
    await chosen(extender, "within 2 ms of redis, not on A100")
    assert await reason(extender) == "domains shared with redis"
    rtt_ms = {"a": {"h": 9.0, "t": 1.0}, "h": {"a": 9.0, "t": 9.0}, "t": {"a": 1.0, "h": 9.0}}
    network = extender.ctx.network
    for node, peers in rtt_ms.items():
        network.take(Report(node, peers, {}, 0.1, 1.0, 1.0))
    network.wake()
    await network.refresh()
    assert await chosen(extender, "within 2 ms of redis, not on A100") == "t"
    assert await reason(extender) == "latency <= 2 ms"


def _node(name: str, **labels: str) -> Node:
    return make_node(name, labels=labels)
