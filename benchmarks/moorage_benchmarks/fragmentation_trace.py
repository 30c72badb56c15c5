"""Node and pod lists in the form of the openb trace, and the stream of pods drawn from them.

Node lists are CSV files with the columns ``cpu_milli, memory_mib, gpu, model``, pod lists with
``cpu_milli, memory_mib, num_gpu, gpu_milli`` and, if they like, ``gpu_spec`` (acceptable models
joined by ``|``). A column ``count`` repeats a line; other columns are ignored; files that end in
``.gz`` are unpacked. ``gpu_milli`` below 1000 goes with ``num_gpu`` 1 only: a shared device.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO, cast

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.scoring.mix import WHOLE_MILLI, Shape
from moorage_policies.simulation.shared_devices import SharedNodes
from moorage_policies.types import IntArray

MOST_GPUS = 64
MOST_LINES = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A cluster and the pods that it sees.

    Args:
        name: name of the pod list.
        nodes: the empty nodes; copy before changing.
        shapes: distinct pod shapes, memory in MiB.
        pods: index into ``shapes`` of each pod, shape ``(pods,)``.
    """

    name: str
    nodes: SharedNodes
    shapes: tuple[Shape, ...]
    pods: IntArray

    @property
    def capacity_milli(self) -> int:
        """Return the thousandths of GPUs that all nodes have."""
        return int(self.nodes.milli.sum())

    @property
    def gpus_milli(self) -> IntArray:
        """Return the thousandths of GPUs that each shape asks for."""
        return np.array([s.devices * s.milli for s in self.shapes], dtype=np.int64)

    def arrivals(self, percent: float, seed: int) -> IntArray:
        """Return shapes in order of arrival until they ask for a share of all GPUs.

        The list in random order; then, while it asks for too little, pods drawn from it at random,
        or, if it asks for too much, without as many of its pods.
        """
        noise = np.random.default_rng(seed)
        gpus, wanted = self.gpus_milli, percent / 100 * self.capacity_milli
        order = noise.permutation(self.pods)
        total = np.cumsum(gpus[order])
        if total[-1] >= wanted:
            return order[: int(np.searchsorted(total, wanted, side="right"))]
        more = [order]
        while total[-1] < wanted:
            drawn = noise.choice(self.pods, len(self.pods))
            more.append(drawn)
            total = np.concatenate((total, total[-1] + np.cumsum(gpus[drawn])))
        keep = int(np.searchsorted(total, wanted, side="right"))
        return np.concatenate(more)[:keep]

    def thinned(self, every: int) -> Trace:
        """Return the trace with every so manieth node, which fewer pods fill."""
        nodes = self.nodes
        few = SharedNodes(
            nodes.cpu[::every], nodes.memory[::every], nodes.milli[::every], nodes.classes[::every]
        )
        return replace(self, nodes=few)


def read_trace(nodes_file: Path, pods_file: Path) -> Trace:
    """Return the trace of two files.

    Raises:
        BadInputError: a file cannot be used; names file, line and column.
    """
    nodes = _read_nodes(nodes_file)
    index: dict[Shape, int] = {}
    pods: list[int] = []
    for line in _lines(pods_file, ("cpu_milli", "memory_mib", "num_gpu", "gpu_milli")):
        pods += [index.setdefault(_shape(line), len(index))] * line.count
    name = pods_file.name.removesuffix(".gz").removesuffix(".csv").removeprefix("openb_pod_list_")
    trace = Trace(name, nodes, tuple(index), np.array(pods, dtype=np.int64))
    if not pods or not trace.gpus_milli[trace.pods].any():
        raise BadInputError(
            "no pod asks for a GPU; give a list with GPU pods", field=str(pods_file)
        )
    return trace


@dataclass(frozen=True, slots=True)
class _Line:
    file: Path
    number: int
    cells: dict[str, str]

    def integer(self, column: str, most: int = 2**40) -> int:
        """Return a cell as a whole number from 0 to ``most``."""
        text = (self.cells.get(column) or "").strip()
        if not text.isascii() or not text.isdecimal() or int(text) > most:
            raise self.error(column, f"{text!r} is no whole number from 0 to {most}")
        return int(text)

    @property
    def count(self) -> int:
        """Return how often the line counts."""
        return self.integer("count", MOST_LINES) if self.cells.get("count") else 1

    def error(self, column: str, problem: str) -> BadInputError:
        return BadInputError(
            f"{problem}; correct the cell", field=f"{self.file.name} line {self.number}, {column}"
        )


def _lines(file: Path, columns: tuple[str, ...]) -> Iterator[_Line]:
    try:
        with _opened(file) as text:
            reader = csv.DictReader(text)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                message = f"the column {missing[0]} is missing; it needs {', '.join(columns)}"
                raise BadInputError(message, field=file.name)
            for number, cells in enumerate(reader, 2):
                yield _Line(file, number, cells)
    except (OSError, UnicodeDecodeError, EOFError, csv.Error) as error:
        raise BadInputError(f"cannot be read: {error}", field=str(file)) from error


def _opened(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return cast("TextIO", gzip.open(file, "rt", encoding="utf-8", newline=""))
    return file.open(encoding="utf-8", newline="")


def _shape(line: _Line) -> Shape:
    devices, milli = line.integer("num_gpu", MOST_GPUS), line.integer("gpu_milli", WHOLE_MILLI)
    if devices == 0 or milli == 0:
        devices, milli = 0, WHOLE_MILLI
    elif devices > 1 and milli < WHOLE_MILLI:
        raise line.error("gpu_milli", f"{milli} goes with num_gpu 1 only")
    models = frozenset(filter(None, (line.cells.get("gpu_spec") or "").split("|")))
    return Shape(
        devices,
        line.integer("cpu_milli"),
        line.integer("memory_mib"),
        milli,
        models if devices and models else None,
    )


def _read_nodes(file: Path) -> SharedNodes:
    lines = list(_lines(file, ("cpu_milli", "memory_mib", "gpu", "model")))
    runs = np.array([line.count for line in lines], dtype=np.int64)
    if not runs.sum():
        raise BadInputError("there is no node in it", field=str(file))
    gpus = np.repeat([line.integer("gpu", MOST_GPUS) for line in lines], runs)
    if not gpus.any():
        raise BadInputError("no node has a GPU; give a list with GPU nodes", field=str(file))
    return SharedNodes(
        cpu=np.repeat([line.integer("cpu_milli") for line in lines], runs),
        memory=np.repeat([line.integer("memory_mib") for line in lines], runs),
        milli=np.where(np.arange(gpus.max()) < gpus[:, None], WHOLE_MILLI, 0),
        classes=tuple(
            line.cells["model"] or "" for line, n in zip(lines, runs, strict=True) for _ in range(n)
        ),
    )
