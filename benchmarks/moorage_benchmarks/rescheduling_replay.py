"""Plans against fragmentation replayed by the executor's own decisions while the cluster changes.

Pods come and go (fifteen changes a minute) while moves run one after the other, each with a restart
of twenty seconds. Arms: ``start`` makes no plan; ``whole`` ends a plan with its first move that
cannot be made; ours drops that move with its group and goes on. Both plan again when a plan ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from moorage_benchmarks.report import OURS, Row
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.plans import (
    Evict,
    Move,
    Observation,
    Plan,
    PlanParams,
    PlanRecord,
    Record,
    Wait,
    decide,
    disruptions,
)
from moorage_policies.plans.slots import open_slots
from moorage_policies.rescheduling.defragment import look, propose
from moorage_policies.rescheduling.proposals import DefragmentParams, Want
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import NVIDIA_GPU, Owner, Pod

NODE_GPUS: Final = 8
FREE_SHARE: Final = 0.35
SIZES: Final = (1, 1, 2, 2, 4)
OWNERS: Final = 12
RESTART_S: Final = 20.0
PLANNING: Final = PlanningParams(
    limits=PlanParams(
        settle_s=0.0,
        owner_cool_down_s=0.0,
        pod_cool_down_s=3600.0,
        max_moves=10_000,
        max_moves_per_owner=10_000,
        evict_deadline_s=30.0,
        bind_deadline_s=60.0,
    )
)
WANTED: Final = DefragmentParams(wants=(Want("node", {NVIDIA_GPU: NODE_GPUS}),), deadline_s=0.3)


@dataclass
class World:
    """Nodes of eight accelerators, pods of twelve workloads, and plans.

    Args:
        seed: of all random choices.
        nodes_count: nodes.
        is_whole: whether a plan ends with its first move that cannot be made.
    """

    seed: int
    nodes_count: int = 60
    is_whole: bool = False
    now_s: float = 0.0
    pods: dict[str, Pod] = field(default_factory=dict)
    records: list[PlanRecord] = field(default_factory=list)
    starting: list[tuple[float, Pod]] = field(default_factory=list)
    pending: list[tuple[str, Move]] = field(default_factory=list)
    placed: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.noise = np.random.default_rng(self.seed)
        self.nodes = {f"n{row:03d}": make_node(f"n{row:03d}") for row in range(self.nodes_count)}
        self.born = 0
        while sum(self.free().values()) > FREE_SHARE * NODE_GPUS * self.nodes_count:
            self.arrive(scattered=True)

    def free(self) -> dict[str, int]:
        """Return the free accelerators of each node; pods that start anew hold their place."""
        room = dict.fromkeys(self.nodes, NODE_GPUS)
        for pod in (*self.pods.values(), *(pod for _, pod in self.starting)):
            room[pod.node or ""] -= pod.requests[NVIDIA_GPU]
        return room

    def arrive(self, *, scattered: bool = False) -> None:
        """Let a pod come: anywhere, or to the fullest node with room that no plan keeps."""
        gpus = int(self.noise.choice(SIZES))
        room = self.free()
        for slot in open_slots(self.records, self.now_s):
            if (slot.plan, slot.move.index) not in self.placed:
                room[slot.node] -= slot.move.gpus
        spots = [name for name, left in room.items() if left >= gpus]
        if not spots:
            return
        fullest = min(spots, key=lambda name: room[name])
        self.start(gpus, str(self.noise.choice(spots)) if scattered else fullest)

    def start(self, gpus: int, node: str, owner: Owner | None = None, after_s: float = 0.0) -> None:
        """Let a pod run on a node, now or later."""
        self.born += 1
        number = self.born % OWNERS
        pod = make_pod(
            f"p{self.born}",
            gpus=gpus,
            node=node,
            owner=owner or Owner("ReplicaSet", f"w{number}", f"rs-{number}"),
            scheduler="moorage-scheduler",
            phase="Running",
            ready=True,
        )
        if after_s:
            self.starting.append((self.now_s + after_s, pod))
        else:
            self.pods[pod.uid] = pod

    def change(self) -> None:
        """Let a pod go, or another come."""
        if self.noise.random() < FREE_SHARE + 0.15:
            self.pods.pop(str(self.noise.choice(sorted(self.pods))))
        else:
            self.arrive()

    def plan(self, moves: int) -> None:
        """Make a plan for the cluster as it is."""
        proposal = propose(self.facts(), PLANNING, replace(WANTED, max_moves=moves))
        if not proposal.moves:
            return
        listed = proposal.moves
        if self.is_whole:
            listed = tuple(replace(move, group=None) for move in listed)
        name = f"plan-{len(self.records)}"
        self.records.append(PlanRecord(Plan(name, name, listed, created_s=self.now_s)))

    def facts(self) -> Facts:
        """Return what a search looks at."""
        return Facts(
            at_s=self.now_s,
            generation=0,
            nodes=tuple(self.nodes.values()),
            pods=tuple(self.pods.values()),
            plans=tuple(self.records),
            migrations=dict.fromkeys(self.pods, "EvictFirst"),
        )

    def work(self) -> None:
        """Let the executor do what it decides, until it waits."""
        self.place_pending()
        arrived = [pod for at_s, pod in self.starting if at_s <= self.now_s]
        self.pods |= {pod.uid: pod for pod in arrived}
        self.starting = [(at_s, pod) for at_s, pod in self.starting if at_s > self.now_s]
        while self.is_busy():
            record, others = self.records[-1], self.records[:-1]
            seen = Observation(self.pods, self.nodes, past=disruptions(others))
            action = decide(record, seen, PLANNING.limits, self.now_s).value
            match action:
                case Wait():
                    return
                case Record(progress):
                    self.records[-1] = replace(record, progress=progress)
                case Evict(uid, _, _, state):
                    move = record.plan.moves[state.index]
                    self.pods.pop(uid)
                    self.pending.append((record.plan.name, move))
                    self.place_pending()

    def place_pending(self) -> None:
        """Start replacements where room was kept for them, or anywhere once nobody keeps any."""
        waiting, self.pending = self.pending, []
        kept = {(slot.plan, slot.move.index) for slot in open_slots(self.records, self.now_s)}
        for plan, move in waiting:
            room = self.free()
            homes = (
                [move.target] if (plan, move.index) in kept else sorted(room, key=room.__getitem__)
            )
            home = next((name for name in homes if room[name] >= move.gpus), None)
            if home is None:
                self.pending.append((plan, move))
                continue
            self.placed.add((plan, move.index))
            self.start(move.gpus, home, move.owner, RESTART_S)

    def is_busy(self) -> bool:
        """Return whether a plan has not ended."""
        return bool(self.records) and not self.records[-1].progress.has_ended

    def rate(self) -> float:
        """Return the share of free accelerators outside of whole nodes."""
        return look(self.facts(), PLANNING, WANTED).fragment_rate


def replay(
    seed: int, *, minutes: int, changes: int, moves: int, nodes: int, arm: str
) -> Iterator[World]:
    """Yield the world after every second of an arm.

    Args:
        seed: of the world.
        minutes: how long.
        changes: changes a minute.
        moves: most moves of a plan.
        nodes: nodes.
        arm: ``start``, ``whole`` or ours.
    """
    world = World(seed, nodes, is_whole=arm == "whole")
    for second in range(60 * minutes):
        world.now_s = float(second)
        due = (second + 1) * changes // 60 - second * changes // 60
        for _ in range(due):
            world.change()
        if arm != "start" and not (world.is_busy() or world.starting or world.pending):
            world.plan(moves)
        world.work()
        yield world


def measure(
    protocol: str, seed: int, *, minutes: int = 15, changes: int = 15, nodes: int = 60
) -> list[Row]:
    """Return the rows of every arm; the fragment rate is the mean over all minutes."""
    rows, case = [], f"replay-{nodes}@{changes}-a-minute"
    for arm in ("start", "whole", OURS):
        rates = []
        seconds = replay(seed, minutes=minutes, changes=changes, moves=10, nodes=nodes, arm=arm)
        for world in seconds:
            is_minute_over = world.now_s % 60 == 59
            if is_minute_over:
                rates.append(world.rate())
        phases = [m.phase for record in world.records for m in record.progress.moves]
        metrics = {
            "fragment_rate": float(np.mean(rates)),
            "plans": len(world.records),
            "moves_done": phases.count("Done"),
            "moves_dropped": sum(phases.count(name) for name in ("Failed", "Skipped")),
        }
        rows += [
            Row(protocol, case, arm, name, value, "1", seed) for name, value in metrics.items()
        ]
    return rows
