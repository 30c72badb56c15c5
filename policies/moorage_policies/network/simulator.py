"""Jobs that run on every node of a shaped network: truth for training and for benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moorage_policies.network.features import MEGABITS_PER_MIB, MS_PER_S
from moorage_policies.network.formula import Formula, expect_s, find_ways
from moorage_policies.network.runs import Job, Trial
from moorage_policies.network.telemetry import LOCAL_MBPS, LOCAL_RTT_MS, View
from moorage_policies.network.worlds import STEP_S, World
from moorage_policies.types import FloatArray, IntArray

GIB = 1024.0
WINDOW_MIB = 12.0
"""What one connection may have under way: long ways are slower than their links."""

LAW = Formula(
    compute_ratio=1.0,
    busy_share=0.85,
    busy_power=1.5,
    window_mib=WINDOW_MIB,
    newest_rtt=1.0,
    newest_mbps=0.5,
    rounds_ratio=1.0,
    start_s=0.0,
    peers_in_turn=0.0,
    work_in_turn=1.0,
)
"""How long jobs here take; what it gives for readings is the most that they can tell of it."""

LAW = Formula(
    compute_ratio=1.0,
    busy_share=0.85,
    busy_power=1.5,
    window_mib=WINDOW_MIB,
    newest_rtt=1.0,
    newest_mbps=0.5,
    rounds_ratio=1.0,
    start_s=0.0,
    peers_in_turn=0.0,
    work_in_turn=1.0,
)
"""How long jobs here take; what it gives for readings is the most that they can tell of it."""

SHUFFLE, KV_TRANSFER, WEIGHTS = "shuffle", "kv-transfer", "weights"


@dataclass(frozen=True, slots=True)
class Noise:
    """How far readings and run times are from the truth, as standard deviations of logarithms."""

    duration: float = 0.10
    rtt: float = 0.05
    mbps: float = 0.08
    cpu: float = 0.02


def simulate(
    chance: np.random.Generator, world: World, noise: Noise, *, jobs_per_condition: int = 2
) -> list[Trial]:
    """Return trials of jobs drawn at random, each run on every node that may take it."""
    trials: list[Trial] = []
    for condition in range(len(world.rtt_ms)):
        view = observe(chance, world, condition, noise)
        for _ in range(jobs_per_condition):
            job = draw_job(chance, len(world.names))
            rows = np.arange(len(world.names))
            if job.workload != SHUFFLE:  # the peer has no room for both
                rows = np.setdiff1d(rows, job.peers)
            expected = true_duration(world, condition, job, rows)
            took = expected * np.exp(noise.duration * chance.standard_normal(len(rows)))
            trials.append(Trial(condition, view, job, rows, took, expected))
    return trials


def draw_job(chance: np.random.Generator, nodes: int) -> Job:
    """Return a job of one of three kinds, its amounts log-uniform."""

    def between(low: float, high: float) -> float:
        return float(np.exp(chance.uniform(np.log(low), np.log(high))))

    def some(most: int) -> IntArray:
        count = int(chance.integers(1, max(1, min(most, nodes - 2)) + 1))
        return chance.choice(nodes, size=count, replace=False).astype(np.int64)

    kind = (SHUFFLE, KV_TRANSFER, WEIGHTS)[int(chance.integers(3))]
    if kind == SHUFFLE:
        volume = between(0.25 * GIB, 16 * GIB)
        return Job(kind, some(4), volume, volume, between(10, 200), between(20, 400))
    if kind == KV_TRANSFER:
        return Job(kind, some(3), between(0.5 * GIB, 32 * GIB), 0.0, between(1, 20), between(5, 50))
    return Job(kind, some(1), between(8 * GIB, 140 * GIB), 0.0, between(5, 60), between(5, 50))


def true_duration(world: World, condition: int, job: Job, rows: IntArray) -> FloatArray:
    """Return how long the job takes on each row without chance, seconds, shape ``(rows,)``."""
    ways = (rows[:, None], job.peers[None, :])
    local = rows[:, None] == job.peers[None, :]
    rtt_s = np.where(local, LOCAL_RTT_MS, world.rtt_ms[condition, -1][ways]) / MS_PER_S
    window = WINDOW_MIB * MEGABITS_PER_MIB / rtt_s
    rate_out = np.minimum(window, np.where(local, LOCAL_MBPS, world.mbps[condition, -1][ways]))
    rate_in = np.minimum(window, np.where(local, LOCAL_MBPS, world.mbps[condition, -1].T[ways]))
    receive = job.receive_mib * MEGABITS_PER_MIB / len(job.peers) / rate_in
    send = job.send_mib * MEGABITS_PER_MIB / len(job.peers) / rate_out
    moving = (np.maximum(receive, send) + job.rounds * rtt_s).max(axis=1)
    busy = world.cpu_ratio[condition, -1, rows]
    took: FloatArray = job.compute_s / (1 - LAW.busy_share * busy**LAW.busy_power) + moving
    return took


def informed(trial: Trial) -> int:
    """Return the node with the shortest time by the true law and what was read, noise and all."""
    return int(np.argmin(expect_s(LAW, find_ways(trial.view, trial.job, trial.rows))))


def observe(chance: np.random.Generator, world: World, condition: int, noise: Noise) -> View:
    """Return what probes told before the jobs start: the newest sample is one step old."""

    def seen(truth: FloatArray, error: float) -> tuple[FloatArray, FloatArray]:
        samples = np.log(truth[:-1]) + error * chance.standard_normal(truth[:-1].shape)
        return np.exp(samples[-1]), np.exp(samples.mean(axis=0))

    rtt, usual_rtt = seen(world.rtt_ms[condition], noise.rtt)
    mbps, usual_mbps = seen(world.mbps[condition], noise.mbps)
    cpu = world.cpu_ratio[condition, -2]
    nodes = len(world.names)
    return View(
        nodes=world.names,
        rtt_ms=rtt,
        usual_rtt_ms=usual_rtt,
        mbps=mbps,
        usual_mbps=usual_mbps,
        cpu_ratio=np.clip(cpu + noise.cpu * chance.standard_normal(nodes), 0.0, 1.0),
        receive_mbps=world.card_mbps[condition, -2, :, 0],
        transmit_mbps=world.card_mbps[condition, -2, :, 1],
        allocated_ratio=world.allocated_ratio[condition],
        age_s=np.full(nodes, STEP_S),
        places=world.places,
    )
