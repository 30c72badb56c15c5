"""The servers that protocol ``extender`` compares, each a process of its own with the same state.

``moorage`` is the extender's own application, ``moorage-two-verbs`` the same in the form that ranks
in prioritize, ``moorage-every-scorer`` the first with every scorer having an opinion,
``moorage-solving`` the first while a solver works without a pause. ``pydantic``
answers the same decisions the way that FastAPI's documentation shows: models in, models out.
``json`` is Starlette with the standard library's JSON. All hear the same events while they answer.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from moorage_benchmarks.extender_load import Load
from moorage_cluster.bind import Binding, Bound
from moorage_crds.convert import to_pod
from moorage_crds.objects import PodObject
from moorage_crds.snapshot_file import PlannerSnapshot
from moorage_extender.app import make_verbs_app
from moorage_extender.config import Settings
from moorage_extender.context import Context
from moorage_extender.logs import configure_logs
from moorage_extender.planner.view import encode, see
from moorage_extender.solver.link import SolverLink
from moorage_extender.verbs.bind import PodToNode
from moorage_policies.errors import UnavailableError
from moorage_policies.planning.answer import Answer
from moorage_policies.scoring import Ranker, Ranking
from moorage_policies.scoring.energy import Draw
from moorage_policies.scoring.fairness import Fairness
from moorage_policies.scoring.hints import HintedNodes
from moorage_policies.scoring.load import Load as NodeLoad
from moorage_policies.scoring.load import Utilisation, asked_ratio
from moorage_policies.scoring.network import NetworkNodes
from moorage_policies.scoring.ranking import Form
from moorage_policies.state import NodesListed, PodsListed

SOLVING = "moorage-solving"
TWO_VERBS = "moorage-two-verbs"
EVERY_SCORER = "moorage-every-scorer"
LOAD_EVERY_S = 15.0
LEVELS = ("topology.kubernetes.io/zone",)
SOLVE_WITHIN_S = 20.0


class ExtenderArgs(BaseModel):
    """Request of filter and prioritize."""

    Pod: dict[str, Any]
    Nodes: dict[str, Any] | None
    NodeNames: list[str] | None


class FilterResult(BaseModel):
    """Answer of filter."""

    NodeNames: list[str]
    FailedNodes: dict[str, str] = {}
    FailedAndUnresolvableNodes: dict[str, str] = {}
    Error: str = ""


class HostPriority(BaseModel):
    """One score of prioritize."""

    Host: str
    Score: int


def _moorage(ctx: Context) -> ASGIApp:
    async def binder(_: PodToNode) -> Binding:
        return Bound()

    return make_verbs_app(ctx, binder)


def _rank(ctx: Context, pod: dict[str, Any], names: list[str]) -> list[int]:
    """Return the scores by the same ranker, the plain way."""
    snapshot = ctx.state.snapshot()
    rows = np.array([snapshot.node_index[name] for name in names])
    decision = ctx.ranker.rank(to_pod(msgspec.convert(pod, PodObject)), snapshot, rows)
    ranking: Ranking = decision.value
    scores: list[int] = ranking.scores.tolist()
    return scores


def _pydantic(ctx: Context) -> ASGIApp:
    app = FastAPI()

    @app.post("/filter")
    async def filter_nodes(args: ExtenderArgs) -> FilterResult:
        return FilterResult(NodeNames=args.NodeNames or [])

    @app.post("/prioritize")
    async def prioritize(args: ExtenderArgs) -> list[HostPriority]:
        names = args.NodeNames or []
        pairs = zip(names, _rank(ctx, args.Pod, names), strict=True)
        return [HostPriority(Host=name, Score=score) for name, score in pairs]

    return app


def _json(ctx: Context) -> ASGIApp:
    async def filter_nodes(request: Request) -> JSONResponse:
        args = json.loads(await request.body())
        return JSONResponse({"NodeNames": args["NodeNames"], "FailedNodes": {}, "Error": ""})

    async def prioritize(request: Request) -> JSONResponse:
        args = json.loads(await request.body())
        names = args["NodeNames"]
        pairs = zip(names, _rank(ctx, args["Pod"], names), strict=True)
        return JSONResponse([{"Host": name, "Score": score} for name, score in pairs])

    return Starlette(
        routes=[
            Route("/filter", filter_nodes, methods=["POST"]),
            Route("/prioritize", prioritize, methods=["POST"]),
        ]
    )


APPS: dict[str, Callable[[Context], ASGIApp]] = {
    "moorage": _moorage,
    EVERY_SCORER: _moorage,
    SOLVING: _moorage,
    TWO_VERBS: _moorage,
    "pydantic": _pydantic,
    "json": _json,
}


async def _hear(ctx: Context, load: Load, events_per_s: float) -> None:
    """Apply events as a watch would bring them: bytes first."""
    for event in load.events():
        await asyncio.sleep(1 / events_per_s)
        ctx.state.apply(event())


def rank_by_everything(ctx: Context, seed: int) -> None:
    """Have every scorer say something of every node, whatever pods are asked about.

    What others would measure is drawn: loads of nodes, the network's scores (which the extender
    only looks up), a workload that was disrupted once.
    """
    settings = ctx.settings.ranking_params()
    params = replace(
        settings,
        topology_levels=LEVELS,
        draws={
            "NVIDIA-H100-80GB-HBM3": Draw(joules_per_token=1.0, idle_w=900.0),
            "NVIDIA-L40S": Draw(joules_per_token=2.0, idle_w=400.0),
        },
        slowdowns={("decode", "decode"): 1.1, ("decode", "prefill"): 1.3},
    )
    near = np.random.default_rng(seed).random(len(ctx.state.snapshot().nodes))
    told = (
        HintedNodes(ctx.hints.intents_of, ctx.hint_signals.of, ctx.hints.memory),
        NetworkNodes(lambda _pod, _snapshot: near),
        Fairness(lambda _pod: 1.0),
        NodeLoad(lambda: ctx.utilisation, ctx.clock),
    )
    ctx.ranker = Ranker(params, ctx.clock, told)


async def _measure_loads(ctx: Context, seed: int) -> None:
    """Bring batches of drawn measurements, as the extender's load feed does."""
    random = np.random.default_rng(seed)
    while True:
        snapshot = ctx.state.snapshot()
        used = random.random((len(snapshot.nodes), 4))
        used[:, 2] = np.nan
        names = snapshot.node_names
        ctx.take_load(Utilisation(ctx.clock(), names, used, asked_ratio(snapshot)))
        await asyncio.sleep(LOAD_EVERY_S)


async def _solve(ctx: Context, load: Load, solver: Path) -> None:
    """Have one packing after the other solved for pods that need whole nodes."""
    ctx.state.apply(PodsListed((*load.movable_pods(), *load.waiting_pods())))
    link = SolverLink(solver)

    async def ignore(_: Answer) -> None:
        """The search is what counts here."""

    while True:
        snapshot = ctx.state.snapshot()
        facts = await see(ctx, snapshot, [pod.uid for pod in load.waiting_pods()])
        pieces = await encode(PlannerSnapshot(facts))
        with suppress(UnavailableError):
            await link.ask(pieces, deadline_s=SOLVE_WITHIN_S, on_answer=ignore)


async def _serve(arm: str, port: int, load: Load, events_per_s: float, solver: Path | None) -> None:
    form: Form = "top-node" if arm == TWO_VERBS else "deciding-filter"
    ctx = Context(Settings(ranking_form=form), clock=time.monotonic, wall_clock=time.time)
    ctx.state.apply(NodesListed(load.nodes()))
    ctx.state.apply(PodsListed(load.placed_pods()))
    if arm == EVERY_SCORER:
        rank_by_everything(ctx, load.seed)
    ctx.ranker.learn(ctx.state.snapshot())
    gc.collect()
    gc.freeze()  # as the extender does, for every arm
    config = uvicorn.Config(
        APPS[arm](ctx),
        port=port,
        loop="none",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=3600,  # a server is stopped while the others are asked
    )
    works = [_hear(ctx, load, events_per_s), ctx.hints.run()]
    if arm == EVERY_SCORER:
        works.append(_measure_loads(ctx, load.seed))
    if solver is not None:
        works.append(_solve(ctx, load, solver))
    background = [asyncio.create_task(work) for work in works]
    await uvicorn.Server(config).serve()
    for task in background:
        task.cancel()


def main() -> None:
    """Serve one arm until SIGTERM."""
    import uvloop

    parser = argparse.ArgumentParser()
    parser.add_argument("arm", choices=list(APPS))
    parser.add_argument("port", type=int)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--events-per-s", type=float, default=100.0)
    parser.add_argument("--solver", type=Path)
    given = parser.parse_args()
    configure_logs("info")  # decisions are written to standard output, as in production
    load = Load(given.nodes, given.seed)
    uvloop.run(_serve(given.arm, given.port, load, given.events_per_s, given.solver))


if __name__ == "__main__":
    main()
