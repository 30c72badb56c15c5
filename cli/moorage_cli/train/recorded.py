"""Recorded telemetry and runs as files: read into trials, and written from simulated ones.

Telemetry has one row a sample: ``time_s, node`` and either ``peer`` with ``rtt_ms`` and ``mbps``
(round trip, and bandwidth left from node to peer), or, without peer, what the node says of itself:
``cpu_ratio, receive_mbps, transmit_mbps, allocated_ratio`` and ``topology`` (places from the
outermost level in, joined by ``/``). Runs have one row a run: ``decision, time_s, workload, node,
peers`` (joined by ``;``), ``receive_mib, send_mib, compute_s, rounds, duration_s``. Rows of one
``decision`` are the same job in the same condition on several nodes. Empty cells are unknown.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moorage_cli.train.columns import Columns, read_columns
from moorage_policies.errors import BadInputError
from moorage_policies.network.runs import Job, Trial
from moorage_policies.network.telemetry import UNKNOWN, View
from moorage_policies.types import BoolArray, FloatArray, IntArray

TELEMETRY = ("time_s", "node", "peer", "rtt_ms")
RUNS = ("decision", "time_s", "workload", "node", "peers", "duration_s")
TELEMETRY_COLUMNS = (
    *TELEMETRY,
    "mbps",
    "cpu_ratio",
    "receive_mbps",
    "transmit_mbps",
    "allocated_ratio",
    "topology",
)
RUNS_COLUMNS = (
    *RUNS,
    "receive_mib",
    "send_mib",
    "compute_s",
    "rounds",
    "expected_s",
    "condition",
)
WINDOW_S = 60.0
MAX_NODES = 1024
NODE_COLUMNS = ("cpu_ratio", "receive_mbps", "transmit_mbps", "allocated_ratio")
LIMITS = {
    "rtt_ms": 60_000.0,
    "mbps": 1e7,
    "cpu_ratio": 1.5,
    "receive_mbps": 1e7,
    "transmit_mbps": 1e7,
    "allocated_ratio": 10.0,
}
"""Larger readings, and negative ones, are impossible: left out and counted."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What files say.

    Args:
        trials: in order of time.
        ignored: rows or cells that were left out, by reason.
    """

    trials: tuple[Trial, ...]
    ignored: Counter[str]


def read_recorded(telemetry: Path, runs: Path, *, window_s: float = WINDOW_S) -> Recorded:
    """Return the trials that two files record.

    Raises:
        BadInputError: a file cannot be used; the message names line, column and remedy.
    """
    ignored: Counter[str] = Counter()
    samples = _Samples(read_columns(telemetry, "telemetry", TELEMETRY), window_s, ignored)
    table = read_columns(runs, "runs", RUNS)
    trials = sorted(_read_trials(table, samples, ignored), key=lambda found: found[0])
    return Recorded(tuple(trial for _, trial in trials), ignored)


class _Samples:
    """Telemetry by time; a view is what was known at a moment."""

    def __init__(self, table: Columns, window_s: float, ignored: Counter[str]) -> None:
        nodes, peers = table.texts("node"), table.texts("peer")
        names = sorted({*nodes, *peers} - {""})
        if len(names) > MAX_NODES:
            message = f"{len(names)} nodes; at most {MAX_NODES}, give a part of the cluster"
            raise BadInputError(message, field="telemetry")
        self.names = tuple(names)
        self.row_of = {name: row for row, name in enumerate(names)}
        for line, node in enumerate(nodes):
            if not node:
                raise BadInputError("must name a node", field=table.place(line, "node"))
        time_s = table.numbers("time_s", needed=True)
        order = np.argsort(time_s, kind="stable")
        self._window_s = window_s
        self._time_s = time_s[order]
        self._node = np.array([self.row_of[name] for name in nodes])[order]
        self._peer = np.array([self.row_of.get(name, UNKNOWN) for name in peers])[order]
        self._values = {
            name: _possible(table.numbers(name)[order], name, ignored) for name in LIMITS
        }
        self._places = _places(names, nodes, table.texts("topology"))
        self._views: dict[float, View] = {}

    def view(self, at_s: float) -> View:
        """Return what was known at a moment, from samples of the window before it."""
        found = self._views.get(at_s)
        if found is None:
            found = self._views[at_s] = self._make_view(at_s)
        return found

    def _make_view(self, at_s: float) -> View:
        first, last = np.searchsorted(self._time_s, (at_s - self._window_s, at_s), side="right")
        inside = slice(int(first), int(last))
        node, peer, size = self._node[inside], self._peer[inside], len(self.names)
        pair = peer >= 0
        ways, alone = (node[pair], peer[pair]), (node[~pair],)
        values = {name: column[inside] for name, column in self._values.items()}
        age = np.full(size, np.inf)
        age[node] = at_s - self._time_s[inside]  # in order of time: the newest stays
        square = (size, size)
        own = {name: _newest((size,), alone, values[name][~pair]) for name in NODE_COLUMNS}
        return View(
            nodes=self.names,
            rtt_ms=_newest(square, ways, values["rtt_ms"][pair]),
            usual_rtt_ms=_usual(square, ways, values["rtt_ms"][pair]),
            mbps=_newest(square, ways, values["mbps"][pair]),
            usual_mbps=_usual(square, ways, values["mbps"][pair]),
            cpu_ratio=own["cpu_ratio"],
            receive_mbps=own["receive_mbps"],
            transmit_mbps=own["transmit_mbps"],
            allocated_ratio=own["allocated_ratio"],
            age_s=age,
            places=self._places,
        )


def _possible(values: FloatArray, name: str, ignored: Counter[str]) -> FloatArray:
    impossible = (values < 0) | (values > LIMITS[name])
    if impossible.any():
        ignored[f"impossible {name}"] += int(impossible.sum())
    return np.where(impossible, np.nan, values)


def _newest(shape: tuple[int, ...], where: tuple[IntArray, ...], values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    found = np.full(shape, np.nan)
    found[tuple(index[known] for index in where)] = values[known]
    return found


def _usual(shape: tuple[int, ...], where: tuple[IntArray, ...], values: FloatArray) -> FloatArray:
    """Return the geometric mean of each cell's samples."""
    known = values > 0
    places = tuple(index[known] for index in where)
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, places, np.log(values[known]))
    np.add.at(count, places, 1)
    return np.where(count > 0, np.exp(total / np.maximum(count, 1)), np.nan)


def _places(names: Sequence[str], nodes: Sequence[str], topology: Sequence[str]) -> IntArray:
    """Return topology codes; places of one level count as the same only under the same parents."""
    paths = {node: place.split("/") for node, place in zip(nodes, topology, strict=True) if place}
    levels = max((len(path) for path in paths.values()), default=1)
    codes = np.full((len(names), levels), UNKNOWN, dtype=np.int64)
    for level in range(levels):
        known: dict[tuple[str, ...], int] = {}
        for row, name in enumerate(names):
            path = paths.get(name, [])
            if len(path) > level and path[level]:
                codes[row, level] = known.setdefault(tuple(path[: level + 1]), len(known))
    return codes


def _read_trials(
    table: Columns, samples: _Samples, ignored: Counter[str]
) -> Iterator[tuple[float, Trial]]:
    columns = {
        "time_s": table.numbers("time_s", needed=True),
        "duration_s": table.numbers("duration_s", needed=True),
        **{name: table.numbers(name) for name in RUNS_COLUMNS[6:]},
    }
    nodes, peers, kinds = table.texts("node"), table.texts("peers"), table.texts("workload")
    by_decision: dict[str, list[int]] = {}
    for line, decision in enumerate(table.texts("decision")):
        if columns["duration_s"][line] <= 0:
            message = "must be above 0; leave out runs that did not end"
            raise BadInputError(message, field=table.place(line, "duration_s"))
        if nodes[line] not in samples.row_of:
            ignored["runs on nodes without telemetry"] += 1
            continue
        by_decision.setdefault(decision or f"line {line}", []).append(line)
    for lines in by_decision.values():
        first = lines[0]
        at_s = float(columns["time_s"][first])
        named = [name for name in peers[first].replace(",", ";").split(";") if name]
        if any(name not in samples.row_of for name in named):
            ignored["decisions with peers without telemetry"] += 1
            continue
        expected = columns["expected_s"][lines]
        condition = columns["condition"][first]
        job = Job(
            kinds[first] or "any",
            np.array([samples.row_of[name] for name in named], dtype=np.int64),
            *(
                float(np.nan_to_num(columns[name][first]))
                for name in ("receive_mib", "send_mib", "compute_s", "rounds")
            ),
        )
        yield (
            at_s,
            Trial(
                int(condition) if np.isfinite(condition) else int(at_s),
                samples.view(at_s),
                job,
                np.array([samples.row_of[nodes[line]] for line in lines], dtype=np.int64),
                columns["duration_s"][lines],
                expected if np.isfinite(expected).all() else None,
            ),
        )


def write_recorded(trials: Iterable[Trial], telemetry: Path, runs: Path) -> None:
    """Write trials as files that ``read_recorded`` reads back."""
    trials = tuple(trials)
    gap_s = 3 * WINDOW_S
    with telemetry.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TELEMETRY_COLUMNS)
        for condition, view in {trial.condition: trial.view for trial in trials}.items():
            writer.writerows(_telemetry_rows(view, (condition + 1) * gap_s))
    with runs.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(RUNS_COLUMNS)
        for number, trial in enumerate(trials):
            writer.writerows(_run_rows(number, trial, (trial.condition + 1) * gap_s))


def _telemetry_rows(view: View, at_s: float) -> Iterator[tuple[object, ...]]:
    pairs: BoolArray = ~np.eye(len(view.nodes), dtype=bool)
    # two samples a pair, of which the window's mean is what the view calls usual
    older = {
        "rtt": view.usual_rtt_ms**2 / view.rtt_ms,
        "mbps": view.usual_mbps**2 / view.mbps,
    }
    for row, node in enumerate(view.nodes):
        place = "/".join("" if code == UNKNOWN else f"p{code}" for code in view.places[row])
        numbers = (getattr(view, name)[row] for name in NODE_COLUMNS)
        yield (at_s - 10, node, "", "", "", *(f"{value:.6g}" for value in numbers), place)
        for other in np.flatnonzero(pairs[row]).tolist():
            peer = view.nodes[other]
            for sample_s, rtt, mbps in (
                (at_s - 30, older["rtt"], older["mbps"]),
                (at_s - 10, view.rtt_ms, view.mbps),
            ):
                values = (f"{rtt[row, other]:.6g}", f"{mbps[row, other]:.6g}")
                yield (sample_s, node, peer, *values, "", "", "", "", "")


def _run_rows(number: int, trial: Trial, at_s: float) -> Iterator[tuple[object, ...]]:
    job, nodes = trial.job, trial.view.nodes
    expected = trial.expected_s if trial.expected_s is not None else [""] * len(trial.rows)
    amounts = (job.receive_mib, job.send_mib, job.compute_s, job.rounds)
    for row, took, best in zip(trial.rows, trial.duration_s, expected, strict=True):
        yield (
            number,
            at_s,
            job.workload,
            nodes[row],
            ";".join(nodes[peer] for peer in job.peers),
            f"{took:.6g}",
            *(f"{amount:.6g}" for amount in amounts),
            f"{best:.6g}" if isinstance(best, float) else "",
            trial.condition,
        )
