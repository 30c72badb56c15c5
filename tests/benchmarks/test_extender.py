from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import numpy as np

from moorage_benchmarks import extender
from moorage_benchmarks.extender import DECIDING
from moorage_benchmarks.extender_load import Load
from moorage_benchmarks.extender_servers import APPS, EVERY_SCORER, rank_by_everything
from moorage_benchmarks.report import OURS
from moorage_crds.convert import to_pod
from moorage_crds.objects import PodObject
from moorage_extender.config import Settings
from moorage_extender.context import Context
from moorage_policies.scoring.load import Utilisation, asked_ratio
from moorage_policies.scoring.ranking import DEFAULT_WEIGHTS
from moorage_policies.state import NodesListed, PodsListed

SMALL = Load(30, seed=3)


async def _ask(app: Any, path: str, body: bytes) -> Any:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    await app(scope, receive, send)
    assert sent[0]["status"] == 200
    return json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


def _app(arm: str) -> Any:
    settings = Settings(ranking_form="deciding-filter" if arm in DECIDING else "top-node")
    ctx = Context(settings, clock=time.monotonic, wall_clock=time.time)
    ctx.state.apply(NodesListed(SMALL.nodes()))
    ctx.state.apply(PodsListed(SMALL.placed_pods()))
    return APPS[arm](ctx)


async def test_the_twins_answer_what_we_answer() -> None:
    apps = {arm: _app(arm) for arm in APPS if arm != EVERY_SCORER}
    for body in SMALL.requests(20, count=5):
        scores = {arm: await _ask(app, "/prioritize", body) for arm, app in apps.items()}
        names = {arm: (await _ask(app, "/filter", body))["NodeNames"] for arm, app in apps.items()}
        assert sorted(entry["Score"] for entry in scores[OURS]) == [0] * 19 + [10]
        chosen = [entry["Host"] for entry in scores[OURS] if entry["Score"]]
        for arm in apps:
            assert scores[arm] == scores[OURS]
            assert names[arm] == (chosen if arm in DECIDING else json.loads(body)["NodeNames"])


def test_with_everything_measured_every_scorer_has_an_opinion() -> None:
    ctx = Context(Settings(), clock=time.monotonic, wall_clock=time.time)
    ctx.state.apply(NodesListed(SMALL.nodes()))
    ctx.state.apply(PodsListed(SMALL.placed_pods()))
    snapshot = ctx.state.snapshot()
    used = np.random.default_rng(1).random((30, 4))
    ctx.take_load(Utilisation(time.monotonic(), snapshot.node_names, used, asked_ratio(snapshot)))
    rank_by_everything(ctx, seed=1)
    ctx.ranker.learn(snapshot)
    pod = to_pod(msgspec.convert(SMALL.manifest(1, 2), PodObject))
    parts = ctx.ranker.rank(pod, snapshot, np.arange(30)).value.parts
    asked_for_nothing = {"preferred-neighbours", "soft-spread", "soft-taints", "hints"}
    assert {part.name for part in parts} == set(DEFAULT_WEIGHTS) - asked_for_nothing


def test_a_load_is_the_same_from_the_same_seed_and_its_events_go_on() -> None:
    assert SMALL.requests(5, 3) == Load(30, seed=3).requests(5, 3)
    assert SMALL.requests(5, 3) != Load(30, seed=4).requests(5, 3)
    made = [event() for event, _ in zip(SMALL.events(), range(400), strict=False)]
    kinds = {type(event).__name__ for event in made}
    assert kinds == {"NodeChanged", "PodChanged", "PodDeleted"}
    assert 6000 < len(json.dumps(SMALL.manifest(1, 1), separators=(",", ":"))) < 7000


def test_the_quick_run_measures_every_arm_in_every_case() -> None:
    rows = extender.run(quick=True)
    cases = {row.case for row in rows}
    assert {"filter-420", "prioritize-420", "cycle-100", "prioritize-alone-100"} <= cases
    for case in cases:
        ends_with_filter = DECIDING if case.rpartition("-")[0] == "prioritize" else ()
        for arm in set(extender.ARMS).difference(ends_with_filter):
            (p50,) = [r.value for r in rows if (r.case, r.arm, r.metric) == (case, arm, "p50_ms")]
            assert p50 > 0
