"""Recorded pods cut into days, each with a cluster of its own that is just too small for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.types import NVIDIA_GPU, Node, Pod

DAY_S = 86_400.0
FEWEST_PODS = 20
"""Days with fewer pods than this are joined with the next one: alone they decide nothing."""


class Recorded(NamedTuple):
    """A pod and when it came, seconds from any midnight."""

    pod: Pod
    comes_s: float


@dataclass(frozen=True, slots=True)
class Day:
    """Nodes that are empty in the morning, and the pods that come to them one by one and stay.

    Args:
        name: what it is called in reports.
        nodes: its cluster.
        pods: the pods in order of arrival.
    """

    name: str
    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]

    def gpus(self, served: frozenset[str]) -> int:
        """Return the GPUs that these pods, by UID, hold."""
        return sum(gpus_of(pod) for pod in self.pods if pod.uid in served)

    @property
    def asked_gpus(self) -> int:
        """Return the GPUs that all pods ask for."""
        return sum(map(gpus_of, self.pods))

    @property
    def offered_gpus(self) -> int:
        """Return the GPUs that there are."""
        return sum(node.allocatable.get(NVIDIA_GPU, 0) for node in self.nodes)


def gpus_of(pod: Pod) -> int:
    """Return the devices that a pod asks for."""
    return pod.requests.get(NVIDIA_GPU, 0)


def cut_by_time(recorded: Sequence[Recorded]) -> Iterator[tuple[str, tuple[Pod, ...]]]:
    """Yield the pods of each calendar day, days with few pods joined with those that follow.

    Args:
        recorded: pods in any order; a rest that is too small for a day is left out.
    """
    ordered = sorted(recorded, key=lambda each: each.comes_s)
    joined: list[Pod] = []
    for number, today in groupby(ordered, key=lambda each: int(each.comes_s // DAY_S)):
        joined += [each.pod for each in today]
        if len(joined) >= FEWEST_PODS:
            yield f"day {number}", tuple(joined)
            joined = []


def cut_by_count(pods: Sequence[Pod], days: int) -> Iterator[tuple[str, tuple[Pod, ...]]]:
    """Yield as many days of equally many pods, for recordings without times.

    Raises:
        BadInputError: there are too few pods for so many days.
    """
    if len(pods) < FEWEST_PODS * days:
        message = f"{len(pods)} pods are too few for {days}; a day needs {FEWEST_PODS}"
        raise BadInputError(message, field="days")
    for number, part in enumerate(np.array_split(np.arange(len(pods)), days), 1):
        yield f"part {number}", tuple(pods[at] for at in part)


def draw_nodes(
    nodes: Sequence[Node], pods: Sequence[Pod], load_ratio: float, chance: np.random.Generator
) -> tuple[Node, ...]:
    """Return nodes drawn at random until pods ask for this share of their GPUs, or all nodes."""
    order = chance.permutation(len(nodes))
    offered = np.cumsum([nodes[at].allocatable.get(NVIDIA_GPU, 0) for at in order])
    wanted = sum(map(gpus_of, pods)) / load_ratio
    count = int(np.searchsorted(offered, wanted)) + 1
    return tuple(nodes[at] for at in sorted(order[:count].tolist()))
