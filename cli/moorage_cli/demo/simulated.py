"""The same story on the in-memory simulator: live decisions, an imagined cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
from rich.console import Console

from moorage_cli.control_plane.simulated_nodes import NodeSpec, node_manifest
from moorage_cli.demo import story
from moorage_cli.demo.table import render
from moorage_cli.demo.view import Berth, PlanLine, View
from moorage_crds.convert import to_node
from moorage_crds.names import ACCELERATOR_CLASS_LABEL, POOL_LABEL, ROLE_LABEL, SCHEDULER_NAME
from moorage_crds.objects import NodeObject
from moorage_policies.planning.answer import PlanDraft
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.planning.solving import answer
from moorage_policies.plans import join_stages
from moorage_policies.pools.classes import Catalog, build_catalog
from moorage_policies.scoring import Ranker, RankingParams
from moorage_policies.simulation import RankingExtender, Result, SchedulerParams, simulate
from moorage_policies.testing import GIB
from moorage_policies.types import Node, Owner, Pod

SEED = 1


def tell_simulated(console: Console) -> list[story.Check]:
    """Play all chapters and return what was checked."""
    specs = story.make_nodes()
    nodes = [_to_node(spec) for spec in specs]
    catalog = build_catalog((), nodes)
    decode = story.CHAT.role("decode")
    more = range(decode.replicas, story.SCALED_DECODE_REPLICAS)
    waves = (
        _pods(story.BATCH, catalog),
        _pods(story.CHAT, catalog),
        [_pod(story.CHAT, decode, number, catalog) for number in more],
    )
    views: list[View] = []
    for chapter, title in enumerate(story.CHAPTERS[: len(waves)], start=1):
        view = _to_view(_play(nodes, waves[:chapter]), specs)
        console.print(render(view, specs, title), "")
        views.append(view)
    return story.check([*views, *_tell_plan(console, _play(nodes, waves), views[-1], specs)])


def _tell_plan(
    console: Console, result: Result, view: View, specs: Sequence[NodeSpec]
) -> Iterator[View]:
    """Let batch shrink, plan for the pod that then fits nowhere, and carry the plan out."""
    gone = story.pick_leavers(view)
    placed = [pod for pods in result.snapshot.node_pods for pod in pods]
    pods = [replace(p, ready=True, phase="Running") for p in placed if p.name not in gone]
    zones = {spec.name: spec.zone for spec in specs}

    reasons = dict(result.reasons)

    def look(plans: Sequence[PlanLine]) -> View:
        berths = [_to_berth(pod, zones, reasons) for pod in pods]
        return View.of(berths, view.preempted, plans)

    shrunk = look(())
    console.print(render(shrunk, specs, story.CHAPTERS[3]), "")
    yield shrunk
    [giant] = _pods(story.GIANT, build_catalog((), result.snapshot.nodes))
    giant = replace(giant, unschedulable=True)
    facts = Facts(
        at_s=0.0,
        generation=1,
        nodes=tuple(result.snapshot.nodes),
        pods=(*pods, giant),
        migrations={pod.uid: "SurgeFirst" for pod in pods},
    )
    drafts = answer(facts, PlanningParams(seed=SEED)).drafts
    targets = {m.uid: m.target for draft in drafts for m in join_stages(draft.moves)}
    plans = [_to_line(draft) for draft in drafts]
    pods = [replace(p, node=targets.get(p.uid, p.node) or None) for p in (*pods, giant)]
    reasons |= dict.fromkeys(targets, "a plan keeps room for it here only")
    ended = look(plans)
    console.print(render(ended, specs, story.CHAPTERS[4]), "")
    yield ended


def _to_line(draft: PlanDraft) -> PlanLine:
    kinds = [move.kind for move in draft.moves]
    return PlanLine(draft.reason, "Completed", kinds.count("Move"), kinds.count("Evict"))


def _play(nodes: Sequence[Node], waves: Sequence[Sequence[Pod]]) -> Result:
    first, *later = waves
    extender = RankingExtender(Ranker(RankingParams(), time.monotonic))
    rng = np.random.default_rng(SEED)
    params = SchedulerParams(ties="name")
    return simulate(nodes, first, params, rng, waves=later, extender=extender).value


def _to_node(spec: NodeSpec) -> Node:
    return to_node(msgspec.convert(node_manifest(spec, "simulated"), NodeObject))


def _pods(pool: story.PoolSpec, catalog: Catalog) -> list[Pod]:
    return [
        _pod(pool, role, number, catalog) for role in pool.roles for number in range(role.replicas)
    ]


def _pod(pool: story.PoolSpec, role: story.RoleSpec, number: int, catalog: Catalog) -> Pod:
    accelerator = catalog.classes[role.accelerator]
    name = f"{pool.name}-{role.name}-{number}"
    return Pod(
        uid=name,
        namespace=story.NAMESPACE,
        name=name,
        scheduler=SCHEDULER_NAME,
        priority=story.PRIORITIES[pool.priority_class],
        requests={"cpu": 4000, "memory": 32 * GIB, accelerator.resource: role.gpus},
        labels={
            POOL_LABEL: pool.name,
            ROLE_LABEL: role.name,
            ACCELERATOR_CLASS_LABEL: role.accelerator,
        },
        node_selector=accelerator.node_selector,
        owner=Owner("ReplicaSet", f"{pool.name}-{role.name}", f"{pool.name}-{role.name}"),
    )


def _to_view(result: Result, specs: Sequence[NodeSpec]) -> View:
    """Return the view of a simulated end state; an evicted pod that waits made room."""
    zones = {spec.name: spec.zone for spec in specs}
    placed = [pod for pods in result.snapshot.node_pods for pod in pods]
    pods = [*placed, *result.snapshot.pending.values()]
    evicted = {victim.name for attempt in result.attempts for victim in attempt.victims}
    berths = [_to_berth(pod, zones, result.reasons) for pod in pods]
    return View.of(berths, evicted)


def _to_berth(pod: Pod, zones: Mapping[str, str], reasons: Mapping[str, str]) -> Berth:
    node = pod.node or ""
    return Berth(
        pod=pod.name,
        pool=pod.labels[POOL_LABEL],
        role=pod.labels[ROLE_LABEL],
        accelerator=pod.labels[ACCELERATOR_CLASS_LABEL],
        gpus=sum(n for resource, n in pod.requests.items() if "/" in resource),
        node=node,
        zone=zones.get(node, ""),
        why=reasons.get(pod.uid, ""),
    )
