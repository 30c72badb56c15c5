"""What is wanted of defragmentation and what it answers; without the search, which is large."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from moorage_policies.plans.records import Move
from moorage_policies.types import NVIDIA_GPU

Goal = Literal["FragmentRate", "WholeNodes", "TopologyDomains"]


@dataclass(frozen=True, slots=True)
class Want:
    """A replica that should find room in one piece.

    Args:
        name: whose it is.
        requests: what it asks of one node.
        node_selector: labels of the nodes that may hold it.
        weight: how much such a hole counts beside others.
    """

    name: str
    requests: Mapping[str, int]
    node_selector: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0

    @property
    def gpus(self) -> int:
        """Return the accelerators it asks for."""
        return self.requests.get(NVIDIA_GPU, 0)


@dataclass(frozen=True, slots=True)
class DefragmentParams:
    """What is wanted of a plan, and how gentle it is.

    Args:
        goal: what counts.
        wants: replicas that should find room, for FragmentRate.
        max_moves: most moves.
        min_gain_gpus: accelerators that a move of usual cost must free in wanted pieces.
        exempt_namespaces: namespaces whose pods stay.
        topology_key: node label of the domains, for TopologyDomains.
        restart_s: seconds until a replacement is ready, by UID of the pod; learnt.
        deadline_s: seconds of search.
        workers: searches at a time.
        seed: of all random choices.
    """

    goal: Goal = "FragmentRate"
    wants: tuple[Want, ...] = ()
    max_moves: int = 10
    min_gain_gpus: int = 1
    exempt_namespaces: frozenset[str] = frozenset()
    topology_key: str = ""
    restart_s: Mapping[str, float] = field(default_factory=dict)
    deadline_s: float = 5.0
    workers: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Gain:
    """What one move wins and costs.

    Args:
        gpus: weighted accelerators in wanted pieces that are lost if it is left out.
        cost_s: seconds until the replacement is ready.
    """

    gpus: float
    cost_s: float


@dataclass(frozen=True, slots=True)
class NodeChange:
    """Free accelerators of a node before and after."""

    name: str
    devices: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """Moves against fragmentation; none when nothing is worth its price.

    Args:
        moves: the moves with their steps, by index.
        gains: what each wins and costs, by index.
        rate_before: fragment rate now.
        rate_after: fragment rate in the end.
        gain: what all moves win together.
        bound: most that as many moves could win, as far as proven.
        nodes: nodes that change.
        proven: whether nothing better exists, within what is modelled.
        work: effort of the search.
        seed: seed of the search.
        reason: what it does, in one sentence.
    """

    moves: tuple[Move, ...] = ()
    gains: tuple[Gain, ...] = ()
    rate_before: float = 0.0
    rate_after: float = 0.0
    gain: float = 0.0
    bound: float = 0.0
    nodes: tuple[NodeChange, ...] = ()
    proven: bool = False
    work: float = 0.0
    seed: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """How scattered the free room is.

    Args:
        fragment_rate: share of free accelerators outside of wanted holes.
        free_gpus: free accelerators that count.
        without_room: wants that find no hole though enough accelerators are free.
    """

    fragment_rate: float
    free_gpus: int
    without_room: tuple[str, ...]


def wants_of(sizes: Sequence[Want]) -> tuple[Want, ...]:
    """Return the largest replica of each pool, equal ones joined into one of more weight."""
    weights = Counter[tuple[tuple[tuple[str, int], ...], tuple[tuple[str, str], ...]]]()
    names: defaultdict[object, list[str]] = defaultdict(list)
    for want in sizes:
        key = (tuple(sorted(want.requests.items())), tuple(sorted(want.node_selector.items())))
        weights[key] += 1
        names[key].append(want.name)
    return tuple(
        Want(", ".join(names[key][:3]), dict(key[0]), dict(key[1]), float(count))
        for key, count in weights.items()
    )
