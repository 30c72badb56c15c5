"""Node and pod lists in the form of the openb trace.

Node lists are CSV files with the columns ``cpu_milli, memory_mib, gpu, model``, pod lists with
``cpu_milli, memory_mib, num_gpu, gpu_milli`` and, if they like, ``gpu_spec`` (acceptable models
joined by ``|``), ``creation_time`` and ``deletion_time`` (seconds; a pod without the latter stays).
A column ``count`` repeats a line; other columns are ignored; files that end in ``.gz`` are
unpacked. ``gpu_milli`` below 1000 goes with ``num_gpu`` 1 only: a shared device.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO, cast

from moorage_policies.errors import BadInputError
from moorage_policies.scoring.mix import WHOLE_MILLI

MOST_GPUS = 64
MOST_LINES = 1_000_000


class ListedNode(NamedTuple):
    """A node of a list: millicores, MiB, devices and their model."""

    cpu_milli: int
    memory_mib: int
    gpus: int
    model: str


class ListedPod(NamedTuple):
    """A pod of a list.

    Args:
        cpu_milli: millicores.
        memory_mib: MiB.
        gpus: devices.
        gpu_milli: thousandths of each device; fewer than all only of a single one.
        models: acceptable models in the order in which they are written, empty for all.
        comes_s: when it was created, ``None`` where the list does not tell.
        leaves_s: when it was deleted, ``inf`` where the list does not tell.
    """

    cpu_milli: int
    memory_mib: int
    gpus: int
    gpu_milli: int
    models: tuple[str, ...]
    comes_s: int | None
    leaves_s: float


def list_name(file: Path) -> str:
    """Return the name of a pod list from its file's."""
    return file.name.removesuffix(".gz").removesuffix(".csv").removeprefix("openb_pod_list_")


def read_pods(file: Path) -> list[tuple[ListedPod, int]]:
    """Return the pods of a list, each with how often it is there.

    Raises:
        BadInputError: the file cannot be used, or no pod asks for a GPU; names line and column.
    """
    lines = _lines(file, ("cpu_milli", "memory_mib", "num_gpu", "gpu_milli"))
    pods = [(_pod(line), line.count) for line in lines]
    if not any(pod.gpus and count for pod, count in pods):
        raise BadInputError("no pod asks for a GPU; give a list with GPU pods", field=str(file))
    return pods


def read_nodes(file: Path) -> list[tuple[ListedNode, int]]:
    """Return the nodes of a list, each with how often it is there.

    Raises:
        BadInputError: the file cannot be used, or no node has a GPU; names line and column.
    """
    nodes = [
        (
            ListedNode(
                line.integer("cpu_milli"),
                line.integer("memory_mib"),
                line.integer("gpu", MOST_GPUS),
                line.cells["model"] or "",
            ),
            line.count,
        )
        for line in _lines(file, ("cpu_milli", "memory_mib", "gpu", "model"))
    ]
    if not sum(count for _, count in nodes):
        raise BadInputError("there is no node in it", field=str(file))
    if not any(node.gpus and count for node, count in nodes):
        raise BadInputError("no node has a GPU; give a list with GPU nodes", field=str(file))
    return nodes


def _pod(line: _Line) -> ListedPod:
    gpus, milli = line.integer("num_gpu", MOST_GPUS), line.integer("gpu_milli", WHOLE_MILLI)
    if gpus == 0 or milli == 0:
        gpus, milli = 0, WHOLE_MILLI
    elif gpus > 1 and milli < WHOLE_MILLI:
        raise line.error("gpu_milli", f"{milli} goes with num_gpu 1 only")
    models = tuple(dict.fromkeys(filter(None, (line.cells.get("gpu_spec") or "").split("|"))))
    comes_s = line.integer("creation_time") if line.cells.get("creation_time") else None
    leaves_s = line.integer("deletion_time") if line.cells.get("deletion_time") else float("inf")
    if comes_s is not None and leaves_s < comes_s:
        raise line.error("deletion_time", f"{leaves_s:.0f} is before creation_time")
    return ListedPod(
        line.integer("cpu_milli"),
        line.integer("memory_mib"),
        gpus,
        milli,
        models if gpus else (),
        comes_s,
        leaves_s,
    )


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
