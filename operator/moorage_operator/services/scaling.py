"""Ticks: every pool with a target is read, decided on and, where its counts are ours, scaled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from moorage_cluster.errors import ApiError
from moorage_crds.conditions import SCALING_LIMITED
from moorage_crds.names import ACCELERATOR_CLASS_LABEL, ROLE_LABEL
from moorage_crds.pool import GPUInferencePool
from moorage_operator.errors import NotLeadingError
from moorage_operator.metrics import Metrics
from moorage_operator.services.conditions import Finding
from moorage_operator.services.facts import PoolFacts
from moorage_operator.services.pool_pods import PoolKey
from moorage_operator.services.scaling_acts import ScalingActs
from moorage_operator.services.scaling_findings import findings_of
from moorage_operator.services.scaling_moves import MoveBook
from moorage_operator.services.scaling_note import ManualFloor, ScalingNote, add_entry, note_of
from moorage_operator.services.scaling_params import StartUps, params_of
from moorage_operator.services.scaling_reading import (
    AUTOSCALERS,
    SampleBook,
    WriterBook,
    find_floor,
    find_writer,
    observe,
    role_child,
    serving_endpoints,
)
from moorage_operator.services.scaling_room import (
    find_growth,
    kept_by_plans,
    priority_of,
)
from moorage_operator.services.scaling_turn import PoolMemory, Turn, is_external
from moorage_operator.services.scaling_yields import let_yield
from moorage_operator.services.view import ClusterView
from moorage_operator.signals.profiles import MetricProfile, profile_of
from moorage_operator.signals.scrape import Endpoint
from moorage_policies.errors import BadInputError, UnavailableError
from moorage_policies.ports import Reporter
from moorage_policies.scaling import begin, step
from moorage_policies.scaling.reach import settle
from moorage_policies.scaling.replay import Record
from moorage_policies.scaling.samples import PodSample
from moorage_policies.types import IntArray


class Source(Protocol):
    """Where samples come from."""

    @property
    def advice(self) -> str:
        """What to look at when too few pods can be read."""
        ...

    async def fetch(
        self, endpoints: Sequence[Endpoint], profile: MetricProfile
    ) -> dict[str, PodSample]:
        """Return the samples of the pods that could be read, by UID."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


@dataclass(frozen=True, slots=True)
class ScalingSettings:
    """How ticks run; see ``OperatorConfig``."""

    tick_s: float = 15.0
    stale_s: float = 45.0
    warm_up_s: float = 30.0
    in_window_s: float = 60.0
    idle_s: float = 300.0
    observe_s: float = 0.0


class ScalingService:
    """Runs the ticks of all pools; what it remembers may be lost at any time.

    Args:
        view: the cluster as known.
        scraper: reads pods.
        acts: writes.
        moves: what moves would make room.
        now_s: Unix seconds.
        settings: how ticks run.
        patience_s: see ``OperatorConfig.patience_s``.
        metrics: counts and times.
        reporter: hears of every decision that changes something.
    """

    def __init__(
        self,
        view: ClusterView,
        scraper: Source,
        acts: ScalingActs,
        moves: MoveBook,
        now_s: Callable[[], float],
        settings: ScalingSettings,
        *,
        patience_s: float,
        metrics: Metrics,
        reporter: Reporter,
    ) -> None:
        self._view = view
        self._scraper = scraper
        self._acts = acts
        self._moves = moves
        self._now_s = now_s
        self._settings = settings
        self._patience_s = patience_s
        self._metrics = metrics
        self._reporter = reporter
        self._pools: dict[PoolKey, PoolMemory] = {}
        self._priorities: dict[PoolKey, int] = {}
        self.starts = StartUps()
        self.records: dict[PoolKey, Record] = {}
        """The last decision of each pool, with all that it was made from."""

    def find_record(self, namespace: str, pool: str) -> bytes | None:
        """Return the last decision about a pool with all that it was made from, as JSON."""
        record = self.records.get((namespace, pool))
        return None if record is None else msgspec.json.encode(record)

    async def run(self) -> None:
        """Tick until cancelled.

        Raises:
            NotLeadingError: another process leads now.
        """
        try:
            while True:
                began_s = self._now_s()
                await self.tick()
                took_s = self._now_s() - began_s
                self._metrics.tick_seconds.observe(max(0.0, took_s))
                await asyncio.sleep(max(0.1, self._settings.tick_s - took_s))
        finally:
            await self._moves.close()
            await self._scraper.close()

    async def tick(self) -> None:
        """Read, decide and write once for every pool."""
        memories = self._select()
        self._learn(memories)
        await asyncio.gather(*(self._scrape(key, held) for key, held in memories.items()))
        turns: list[Turn] = []
        for key, held in memories.items():
            await asyncio.sleep(0)  # a thousand pools must not hold the probes and the Lease up
            turn = self._decide(key, held)
            if turn is not None:
                turns.append(turn)
        turns.sort(key=lambda turn: (-turn.priority, turn.key))
        self._find_places(turns)
        shares = let_yield(turns)
        if shares is not None:
            self._metrics.fairness_ratio.set(shares.fairness_ratio)
        for turn in turns:
            await self._finish(turn)
        await self._bring_back({turn.key for turn in turns if turn.acts})
        self._metrics.blind_pools.set(sum(bool(turn.blind) for turn in turns))

    def _select(self) -> dict[PoolKey, PoolMemory]:
        """Return what is remembered of the pools that scale, read anew where their spec changed."""
        found: dict[PoolKey, PoolMemory] = {}
        for key, record in self._view.pools().items():
            held = self._pools.get(key)
            if record.is_terminating:
                continue
            if held is None or held.generation != record.generation:
                try:
                    spec = GPUInferencePool.read(msgspec.json.decode(record.body))
                except BadInputError:
                    continue  # the reconcile tells it
                scaled = len(spec.spec.scaling.bounds) if spec.spec.scaling else 0
                book = held.book if held else SampleBook()
                writers = held.writers if held else WriterBook()
                held = PoolMemory(record.generation, spec, begin(scaled), book, writers)
            found[key] = held
        self._pools = found
        for gone in self.records.keys() - found.keys():
            del self.records[gone]
        return {key: held for key, held in found.items() if _scales(held.spec)}

    def _learn(self, memories: dict[PoolKey, PoolMemory]) -> None:
        for key, held in memories.items():
            for pod in self._view.pods.of(key):
                place = self._view.pods.places.get(pod.uid)
                if place is not None and place.start_up_s is not None:
                    name = pod.labels.get(ACCELERATOR_CLASS_LABEL, "")
                    self.starts.learn(held.spec.spec.model.name, name, pod.uid, place.start_up_s)

    async def _scrape(self, key: PoolKey, held: PoolMemory) -> None:
        scaling = held.spec.spec.scaling
        assert scaling is not None
        facts = self._facts(key)
        bounded = frozenset(bound.role for bound in scaling.bounds)
        endpoints = serving_endpoints(
            facts, self._view.pods.places, bounded, self._settings.warm_up_s
        )
        profile = profile_of(held.spec.spec.model.engine, scaling.metric)
        samples = await self._scraper.fetch(endpoints, profile)
        held.book.take(samples, frozenset(pod.uid for pod in facts.pods))

    def _decide(self, key: PoolKey, held: PoolMemory) -> Turn | None:
        facts, pool = self._facts(key), held.spec
        try:
            settings = self._settings
            params = replace(
                params_of(pool, self.starts, settings.tick_s, settings.observe_s),
                in_window_s=settings.in_window_s,
                idle_s=settings.idle_s,
            )
        except BadInputError as error:
            self._refuse(key, pool, str(error))
            return None
        children = {r.role: role_child(pool, r.role, facts) for r in params.roles}
        if any(child is None or child.pool_replicas is None for child in children.values()):
            return None  # the first reconcile makes them
        floors: dict[str, ManualFloor] = {}
        second = ""
        for role, child in children.items():
            assert child is not None
            if is_external(pool):
                second = second or held.writers.see(role, find_writer(child), facts.now_s)
                continue
            floor = find_floor(pool, child, facts.now_s)
            if floor is not None:
                floors[role] = floor
            writer = find_writer(child)
            if writer is not None and writer.name in AUTOSCALERS:
                second = writer.name
        observation, blind = observe(
            pool,
            facts,
            params,
            held.book,
            floors,
            stale_s=self._settings.stale_s,
            grown_up=self._grown_up(facts),
            resting=self._view.pods.resting_of(facts.pods),
        )
        before = held.state
        held.state, decision = step(before, observation, params)
        priority = priority_of(facts, self._priorities, key)
        self._priorities[key] = priority
        self._metrics.scaling_ticks.labels(decision.value.verdict).inc()
        return Turn(
            key,
            pool,
            facts,
            params,
            held,
            before,
            observation,
            decision,
            blind,
            floors,
            second,
            priority,
        )

    def _grown_up(self, facts: PoolFacts) -> frozenset[str]:
        """Return the pods that served through their warm-up and two ticks."""
        age_s = self._settings.warm_up_s + 2.0 * self._settings.tick_s
        places = self._view.pods.places
        roles = frozenset(pod.labels.get(ROLE_LABEL, "") for pod in facts.pods)
        found = serving_endpoints(facts, places, roles, age_s)
        return frozenset(endpoint.uid for endpoint in found)

    def _find_places(self, turns: list[Turn]) -> None:
        """Cut growth to what has a place, the highest priority first."""
        kept: IntArray | None = None
        for turn in turns:
            scaling = turn.pool.spec.scaling
            assert scaling is not None
            if not turn.acts or scaling.on_unplaceable == "Pending" or not _lacks(turn):
                continue
            if kept is None:
                records = self._view.plans.records()
                kept = kept_by_plans(records, turn.facts.snapshot, turn.facts.now_s)
            grown = find_growth(
                turn.pool,
                turn.facts,
                turn.decision.value,
                kept,
                turn.priority,
                self._moves.find(turn.key),
            )
            self._moves.wonder(turn.key, grown.scattered)
            kept = kept + grown.taken
            turn.reach = grown.reach
            turn.decision = settle(turn.decision, grown.reach, turn.params, turn.observation)

    async def _bring_back(self, acting: set[PoolKey]) -> None:
        """Let pods serve again that rest in pools that nobody scales any more."""
        for key in self._view.pools().keys() - acting:
            pods = self._view.pods.of(key)
            resting = self._view.pods.resting_of(pods)
            await self._acts.bring_back(pod for pod in pods if pod.uid in resting)

    async def _finish(self, turn: Turn) -> None:
        """Write the counts and tell; what fails is tried by the next tick."""
        targets = turn.decision.value
        live = self._view.scaling.get(turn.key) or note_of(turn.pool)
        history = live.history
        self._remember(turn)
        for target in sorted(targets.roles, key=lambda t: t.replicas - t.before):
            self._metrics.wanted.labels(*turn.key, target.role).set(target.replicas)
            if turn.acts:
                role = next(r for r in turn.pool.spec.roles if r.name == target.role)
                await self._acts.keep_resting(role, target.resting, turn.facts, turn.memory.book)
            if target.replicas == target.before or not turn.acts:
                continue
            try:
                wrote = await self._acts.set_count(turn.pool, target, turn.facts, turn.memory.book)
            except NotLeadingError:
                raise
            except (ApiError, UnavailableError) as error:
                self._reporter.report("scaling.refused", pool="/".join(turn.key), why=str(error))
                break
            if wrote:
                history = add_entry(
                    history,
                    target.role,
                    target.before,
                    target.replicas,
                    target.reason,
                    turn.facts.now_s,
                )
                self._reporter.report(
                    "scaling.scaled", pool="/".join(turn.key), why=turn.decision.reason
                )
        shown = {} if turn.acts else {t.role: t.replicas for t in targets.roles}
        findings = findings_of(turn, self._scraper.advice)
        resting = {t.role: t.resting for t in targets.roles if t.resting and turn.acts}
        note = ScalingNote(findings, shown, turn.floors, history, resting)
        self._view.note_scaling(turn.key, note)

    def _remember(self, turn: Turn) -> None:
        self.records[turn.key] = Record(
            turn.before,
            turn.observation,
            turn.params,
            turn.reach,
            turn.decision.value,
            turn.decision.reason,
        )

    def _refuse(self, key: PoolKey, pool: GPUInferencePool, why: str) -> None:
        """Say that a spec cannot be scaled by; its counts stay."""
        live = self._view.scaling.get(key) or note_of(pool)
        finding = Finding(SCALING_LIMITED, holds=True, reason="InvalidScaling", message=why)
        self._view.note_scaling(key, ScalingNote((finding,), {}, live.floors, live.history))

    def _facts(self, key: PoolKey) -> PoolFacts:
        return self._view.facts(key, now_s=self._now_s(), patience_s=self._patience_s)


def _lacks(turn: Turn) -> bool:
    """Return whether a role wants more than it has placed."""
    placed = {
        target.role: sum(pod.node is not None for pod in turn.facts.pods_of(target.role))
        for target in turn.decision.value.roles
    }
    return any(t.replicas > min(t.before, placed[t.role]) for t in turn.decision.value.roles)


def _scales(pool: GPUInferencePool) -> bool:
    scaling = pool.spec.scaling
    return scaling is not None and bool(scaling.target) and pool.spec.actuation != "Off"
