"""Nodes whose devices may be shared by several pods, scored as ``fragmentation`` scores whole ones.

The API server does not tell which device of a node a pod shares, so no live scorer can know what
is left of each; a simulation does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from moorage_policies.scoring.mix import WHOLE_MILLI, Shape, mix_from
from moorage_policies.scoring.outlook import FACTS, count_stranded, expect
from moorage_policies.types import BoolArray, FloatArray, IntArray

EQUAL_WITHIN = 1e-9
NEW_DEVICE = -1
FIRST_LOOK = 64
"""Pods after which the mix is learned for the first time."""


@dataclass(frozen=True, slots=True, eq=False)
class SharedNodes:
    """What nodes have left; ``take`` writes into the arrays.

    Args:
        cpu: millicores, shape ``(nodes,)``.
        memory: in the unit of the pods' shapes, shape ``(nodes,)``.
        milli: thousandths left of each device, shape ``(nodes, devices)``, 0 where there is none.
        classes: accelerator class of each node.
    """

    cpu: IntArray
    memory: IntArray
    milli: IntArray
    classes: tuple[str, ...]

    def take(self, node: int, shape: Shape, device: int = NEW_DEVICE) -> None:
        """Put a pod on a node: on that device, or on as many whole ones as it asks for."""
        self.cpu[node] -= shape.cpu
        self.memory[node] -= shape.memory
        left = self.milli[node]
        if device == NEW_DEVICE:
            left[np.flatnonzero(left == WHOLE_MILLI)[: shape.devices]] -= shape.milli
        else:
            left[device] -= shape.milli

    def copy(self) -> SharedNodes:
        """Return nodes that have as much left and change by themselves."""
        return SharedNodes(self.cpu.copy(), self.memory.copy(), self.milli.copy(), self.classes)


@dataclass(slots=True, eq=False)
class _Answer:
    """What is known about one shape: growth and device by node, and how much of the log is in."""

    allowed: BoolArray
    growth: FloatArray
    device: IntArray
    read: int = 0


class SharedPlacer:
    """Places pods one by one where they are expected to strand the fewest devices.

    Equally good nodes: the fewest free devices, then the least CPU, then the first.

    Args:
        nodes: the nodes; the placer takes from them what it places.
    """

    def __init__(self, nodes: SharedNodes) -> None:
        self._nodes = nodes
        self._classes = tuple(dict.fromkeys(nodes.classes))
        self._code = np.array([self._classes.index(name) for name in nodes.classes])
        self._seen: Counter[Shape] = Counter()
        self._asked = 0
        self._learn_at = FIRST_LOOK
        self._changed: list[int] = []
        self._answers: dict[Shape, _Answer] = {}
        self._facts = np.zeros((FACTS, len(nodes.cpu)))
        self._stranded = np.zeros(len(nodes.cpu))
        self._learn()

    def place(self, shape: Shape) -> int | None:
        """Return the node that took a pod of the shape, ``None`` when it fits nowhere."""
        self._seen[shape] += 1
        self._asked += 1
        answer = self._up_to_date(shape)
        least = answer.growth.min()
        if least == np.inf:
            return None
        node = self._fullest(np.flatnonzero(answer.growth <= least + EQUAL_WITHIN))
        self._nodes.take(node, shape, int(answer.device[node]))
        self._changed.append(node)
        self._sum_up(np.array([node]))
        return node

    def learn_if_due(self) -> None:
        """Learn the mix from all pods asked about, if there are half as many again by now."""
        if self._asked >= self._learn_at:
            self._learn_at = self._asked * 3 // 2
            self._learn()

    def _learn(self) -> None:
        mix = mix_from("shared", self._seen)
        devices = self._nodes.milli.shape[1]
        outlooks = [expect(mix.on(name), devices) for name in self._classes]
        self._step = outlooks[0].step_milli
        self._levels = 1 + WHOLE_MILLI // self._step
        # facts of one device by what is left of it; the column of a whole one stays empty, as
        # whole devices are counted together
        self._part = np.zeros((FACTS, len(outlooks), self._levels))
        self._whole = np.stack([outlook.whole for outlook in outlooks], axis=1)
        for code, outlook in enumerate(outlooks):
            self._part[:, code, : outlook.part.shape[1]] = outlook.part
        self._answers.clear()
        self._sum_up(np.arange(len(self._nodes.cpu)))

    def _sum_up(self, rows: IntArray) -> None:
        """Bring facts and expected stranded devices of some nodes up to date."""
        nodes, code = self._nodes, self._code[rows]
        left = nodes.milli[rows]
        facts = self._part[:, code[:, None], left // self._step].sum(axis=2)
        facts += self._whole[:, code, (left == WHOLE_MILLI).sum(axis=1)]
        self._facts[:, rows] = facts
        self._stranded[rows] = count_stranded(facts, nodes.cpu[rows], nodes.memory[rows])

    def _up_to_date(self, shape: Shape) -> _Answer:
        answer = self._answers.get(shape)
        if answer is None:
            allowed = np.array([shape.classes is None or c in shape.classes for c in self._classes])
            count = len(self._code)
            growth = np.full(count, np.inf)
            answer = _Answer(allowed[self._code], growth, np.full(count, NEW_DEVICE))
            self._answers[shape] = answer
            rows = np.flatnonzero(answer.allowed)
        else:
            rows = np.array(list(set(self._changed[answer.read :])), dtype=np.int64)
            rows = rows[answer.allowed[rows]]
        answer.read = len(self._changed)
        if len(rows):
            answer.growth[rows], answer.device[rows] = self._weigh(shape, rows)
        return answer

    def _weigh(self, shape: Shape, rows: IntArray) -> tuple[FloatArray, IntArray]:
        """Return by how much stranded devices grow on each node, and on which device."""
        nodes = self._nodes
        whole = (nodes.milli[rows] == WHOLE_MILLI).sum(axis=1)
        cpu, memory = nodes.cpu[rows] - shape.cpu, nodes.memory[rows] - shape.memory
        facts = self._facts_on_whole(shape, rows, whole)
        growth = count_stranded(facts, cpu, memory) - self._stranded[rows]
        growth[(whole < shape.devices) | (cpu < 0) | (memory < 0)] = np.inf
        device = np.full(len(rows), NEW_DEVICE)
        if 0 < shape.milli < WHOLE_MILLI:
            shared, slot = self._weigh_shared(shape, rows, cpu, memory)
            better = shared < growth - EQUAL_WITHIN
            growth[better], device[better] = shared[better], slot[better]
        return growth, device

    def _facts_on_whole(self, shape: Shape, rows: IntArray, whole: IntArray) -> FloatArray:
        """Return each node's facts after a pod took whole devices, shape ``(6, rows)``."""
        code = self._code[rows]
        left = np.maximum(whole - shape.devices, 0)
        facts = self._facts[:, rows] + self._whole[:, code, left] - self._whole[:, code, whole]
        if 0 < shape.milli < WHOLE_MILLI:
            facts += self._part[:, code, (WHOLE_MILLI - shape.milli) // self._step]
        return facts

    def _weigh_shared(
        self, shape: Shape, rows: IntArray, cpu: IntArray, memory: IntArray
    ) -> tuple[FloatArray, IntArray]:
        """Return the growth on the best device that is shared already, and which that is."""
        left = self._nodes.milli[rows]
        at, slot = np.nonzero((left >= shape.milli) & (left < WHOLE_MILLI))
        after = left[at, slot]
        code, row = self._code[rows[at]], rows[at]
        facts = self._facts[:, row] - self._part[:, code, after // self._step]
        facts += self._part[:, code, (after - shape.milli) // self._step]
        found = count_stranded(facts, cpu[at], memory[at]) - self._stranded[row]
        found[(cpu[at] < 0) | (memory[at] < 0)] = np.inf
        growth = np.full(left.shape, np.inf)
        growth[at, slot] = found
        best = growth.argmin(axis=1)
        return growth[np.arange(len(rows)), best], best

    def _fullest(self, tied: IntArray) -> int:
        if len(tied) > 1:
            left = self._nodes.milli[tied].sum(axis=1)
            tied = tied[left == left.min()]
            cpu = self._nodes.cpu[tied]
            tied = tied[cpu == cpu.min()]
        return int(tied[0])
