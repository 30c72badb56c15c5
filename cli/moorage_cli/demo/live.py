"""The demo on a real control plane, chapter by chapter."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rich.console import Console
from rich.live import Live

from moorage_cli.control_plane.plane import ControlPlane
from moorage_cli.demo import story
from moorage_cli.demo.table import render
from moorage_cli.demo.view import View, to_view
from moorage_cli.installation import EXTENDER, Installation
from moorage_crds.names import PLANS, PODS, POLICIES, POOLS, ROLES, role_object_name
from moorage_crds.policy import POLICY_NAME
from moorage_policies.plans import DELETION_COST_ANNOTATION

_LOOK_EVERY_S = 0.25
_CHAPTER_WITHIN_S = 90.0
_LAST_WITHOUT_LEAVERS = 2
"""Chapter up to which every pod that was ever bound is there or was preempted."""


class LiveDemo:
    """Tells the story on one installation; every chapter ends when its goal is seen."""

    def __init__(self, installation: Installation, console: Console) -> None:
        self._installation = installation
        self._plane: ControlPlane = installation.plane
        self._api = installation.plane.api
        self._console = console
        self._nodes = story.make_nodes()

    def set_up(self) -> None:
        """Bring up nodes, resources, priorities, the extender, the operator and the scheduler."""
        installation = self._installation
        installation.install()
        installation.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": story.NAMESPACE}}
        )
        for name, value in story.PRIORITIES.items():
            installation.apply(
                {
                    "apiVersion": "scheduling.k8s.io/v1",
                    "kind": "PriorityClass",
                    "metadata": {"name": name},
                    "value": value,
                }
            )
        self._plane.create_nodes(self._nodes)
        self._allow_plans("Off")  # the first chapters are kube-scheduler's own
        installation.start_solver()
        installation.start_planning_extender()
        installation.start_operator()
        installation.start_scheduler()

    def tell(self) -> list[story.Check]:
        """Play all chapters and return what was checked."""
        steps: tuple[Callable[[], None], ...] = (
            partial(self._apply_pool, story.BATCH),
            partial(self._apply_pool, story.CHAT),
            partial(self._scale, story.CHAT, "decode", story.SCALED_DECODE_REPLICAS),
            self._shrink_batch,
            self._bring_giant,
        )
        views: list[View] = []
        binds: list[story.Check] = []
        for chapter, step in enumerate(steps):
            step()
            views.append(self._watch(chapter))
            if chapter == _LAST_WITHOUT_LEAVERS:
                binds.append(self._check_binds(views[-1]))
        return [*story.check(views), *binds]

    def look(self) -> View:
        """Return the story's state as the API server and the extender tell it."""
        pods = self._list(f"/api/v1/namespaces/{story.NAMESPACE}/pods")
        events = self._list(f"/api/v1/namespaces/{story.NAMESPACE}/events")
        plans = self._list(PLANS.path())
        return to_view(pods, self._list("/api/v1/nodes"), events, self._reasons(), plans)

    def _watch(self, chapter: int) -> View:
        """Show the story until the chapter has come to its end; return the last view."""
        deadline_s = time.monotonic() + _CHAPTER_WITHIN_S
        title = story.CHAPTERS[chapter]
        view = self.look()
        with Live(console=self._console, refresh_per_second=8) as live:
            while not story.reached(chapter, view) and time.monotonic() < deadline_s:
                live.update(render(view, self._nodes, title))
                time.sleep(_LOOK_EVERY_S)
                view = self.look()
            live.update(render(view, self._nodes, title))
        self._console.print()
        return view

    def _check_binds(self, view: View) -> story.Check:
        bound = sum(berth.node != "" for berth in view.berths) + len(view.preempted)
        metrics = self._installation.fetch(f"{self._door}/metrics").decode()
        by_us = int(_metric(metrics, 'moorage_extender_binds_total{outcome="bound"}'))
        return story.Check(f"{by_us} of {bound} pods were bound by our bind verb", by_us == bound)

    @property
    def _door(self) -> str:
        return self._installation.doors[EXTENDER].health

    def _apply_pool(self, pool: story.PoolSpec) -> None:
        self._api.apply(POOLS.path(story.NAMESPACE, pool.name), pool.to_manifest(), "demo-user")

    def _allow_plans(self, actuation: str) -> None:
        policy = {
            "apiVersion": POLICIES.api_version,
            "kind": POLICIES.kind,
            "metadata": {"name": POLICY_NAME},
            "spec": {"actuation": actuation},
        }
        self._api.apply(POLICIES.path("", POLICY_NAME), policy, "demo-user")

    def _shrink_batch(self) -> None:
        """Have one pod on each of two nodes go."""
        cheapest = {"metadata": {"annotations": {DELETION_COST_ANNOTATION: "-100"}}}
        for pod in story.pick_leavers(self.look()):
            self._api.patch(PODS.path(story.NAMESPACE, pod), cheapest)
        self._scale(story.BATCH, "worker", story.SHRUNK_BATCH_REPLICAS)

    def _bring_giant(self) -> None:
        self._allow_plans("Auto")
        self._apply_pool(story.GIANT)

    def _scale(self, pool: story.PoolSpec, role: str, replicas: int) -> None:
        path = ROLES.path(story.NAMESPACE, role_object_name(pool.name, role), "scale")
        self._api.patch(path, {"spec": {"replicas": replicas}})

    def _list(self, path: str) -> list[dict[str, Any]]:
        return list(self._api.get(path)["items"])

    def _reasons(self) -> dict[str, str]:
        """Return why each pod sits where it does, by pod name: the newest word that says so.

        A pod with a single feasible node is never ranked, so nothing is told of it.
        """
        answer = self._installation.fetch(f"{self._door}/debug/decisions?limit=1000")
        reasons: dict[str, str] = {}
        for record in json.loads(answer):  # newest first
            if record["verb"] != "bind":
                reasons.setdefault(record["pod"].split("/")[-1], record["reason"])
        return reasons


def _metric(text: str, series: str) -> float:
    for line in text.splitlines():
        if line.startswith(f"{series} "):
            return float(line.split()[-1])
    return 0.0
