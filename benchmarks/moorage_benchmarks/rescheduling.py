"""Protocol ``rescheduling``: bounded migrations that bring scattered free room together.

Generated clusters after the published shape of VMR2L's Medium snapshot (280 hosts of two NUMA
halves, 94 % of the cores taken, fragment rate about 0.56), the same with 1,176 hosts, or given
files. Arms in one run: ``start``, ``greedy`` (best single move at each turn), ``pop`` (random parts
solved apart), ``program`` (CP-SAT on the whole problem, long limit), ours at each deadline, and
``best``: the best of the run, with ``--best-s`` more seconds of our search.

``fragment_rate`` is the share of free cores outside of 16-core holes; ``bound`` the least that is
possible for all that is proven; ``above_best`` and ``below_greedy`` are differences of rates.
``broken`` counts what the independent checker objects to when the moves are taken in order.

Without given files ``replay`` cases follow: plans are carried out by the executor's decisions while
fifteen things a minute change; see ``rescheduling_replay``.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from moorage_benchmarks import rescheduling_replay as replay
from moorage_benchmarks.report import OURS, JsonFile, Row, finish
from moorage_benchmarks.rescheduling_cases import generate
from moorage_benchmarks.rescheduling_peers import solve_parts, solve_program
from moorage_policies.errors import BadInputError
from moorage_policies.rescheduling.check import find_violations
from moorage_policies.rescheduling.documents import read_document
from moorage_policies.rescheduling.greedy import improve_greedily
from moorage_policies.rescheduling.instance import Instance
from moorage_policies.rescheduling.objective import fragment_rate, worth_of
from moorage_policies.rescheduling.search import build_static, order_of
from moorage_policies.rescheduling.solve import Params, solve, warm_up
from moorage_policies.types import IntArray

PROTOCOL = "rescheduling"
SEED = 1
MEDIUM, LARGE = 280, 1176
POP_PARTS = 8
WATCH_S = 0.01


@dataclass(frozen=True, slots=True)
class _Outcome:
    moves: tuple[tuple[int, int], ...]
    wall_s: float
    cpu_s: float
    bound: float = np.inf


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    instance: Instance


def run(
    *,
    quick: bool = False,
    seed: int = SEED,
    instances: Sequence[Path] = (),
    deadlines_s: Sequence[float] = (1.0, 3.0, 5.0),
    limits: Sequence[int] = (10, 25, 50),
    snapshots: int = 3,
    program_s: float = 60.0,
    best_s: float = 0.0,
    workers: int = 2,
    cpu_clock: bool = False,
) -> list[Row]:
    """Return the rows of every arm per case.

    Args:
        quick: one small cluster and short limits.
        seed: of the first generated cluster and of every search.
        instances: files to use instead of generated clusters.
        deadlines_s: of ours.
        limits: most moves.
        snapshots: generated clusters of 280 hosts; one of 1,176 comes on top.
        program_s: limit of the program on the whole problem and of POP.
        best_s: further seconds of our search, for the best answer known.
        workers: of every arm.
        cpu_clock: whether our deadlines count CPU seconds of all workers, for a shared machine.
    """
    if quick:
        deadlines_s, limits, program_s, best_s = (1.0,), (25,), 2.0, 0.0
    warm_up()
    clock = count_cpu(workers) if cpu_clock else time.monotonic
    settings = _Settings(seed, deadlines_s, program_s, best_s, workers, cpu_clock, clock)
    cases = list(_cases(instances, limits, snapshots, seed, quick=quick))
    rows: list[Row] = []
    for case in track(cases, description="rescheduling", transient=True):
        rows += _measure(case, settings)
    if instances:
        return rows
    if quick:
        return rows + replay.measure(PROTOCOL, seed, minutes=3, nodes=20)
    for number in track(range(snapshots), description="replay", transient=True):
        rows += replay.measure(PROTOCOL, seed + number)
    return rows


@dataclass(frozen=True, slots=True)
class _Settings:
    seed: int
    deadlines_s: Sequence[float]
    program_s: float
    best_s: float
    workers: int
    cpu_clock: bool
    clock: Callable[[], float]


def count_cpu(workers: int) -> Callable[[], float]:
    """Return a clock of the CPU seconds that each of so many workers has had."""
    return lambda: time.process_time() / workers


@contextmanager
def watch_clock(is_over: Callable[[], bool], stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` as soon as ``is_over`` says so, while the context is open."""
    done = Event()

    def ask() -> None:
        while not done.wait(WATCH_S):
            if is_over():
                stop()  # again if the solver had not begun yet

    thread = Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _cases(
    files: Sequence[Path], limits: Sequence[int], snapshots: int, seed: int, *, quick: bool
) -> Iterator[_Case]:
    if files:
        found = [(path.name.split(".")[0], read_file(path)) for path in files]
    elif quick:
        found = [("hosts-60", generate(seed, hosts=60))]
    else:
        found = [
            (f"hosts-{MEDIUM}-{number}", generate(seed + number, hosts=MEDIUM))
            for number in range(snapshots)
        ]
        found.append((f"hosts-{LARGE}", generate(seed, hosts=LARGE)))
    for name, instance in found:
        for most in limits:
            yield _Case(f"{name}@{most}", replace(instance, max_moves=most))


def read_file(path: Path) -> Instance:
    """Return the instance of a JSON file, gzip or not.

    Raises:
        BadInputError: the file cannot be read or is no instance; names it.
    """
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        return read_document(json.loads(text))
    except (OSError, ValueError, EOFError) as error:
        raise BadInputError(f"cannot be read as JSON: {error}", field=str(path)) from error
    except BadInputError as error:
        raise BadInputError(str(error), field=str(path)) from error


def _measure(case: _Case, settings: _Settings) -> list[Row]:
    instance = case.instance
    arms = {"start": _Outcome((), 0.0, 0.0)}
    arms["greedy"] = _timed(lambda: (tuple(improve_greedily(instance)), np.inf))
    arms["pop"] = _timed(lambda: (_in_order(instance, _by_parts(instance, settings)), np.inf))
    arms["program"] = _timed(lambda: _by_program(instance, settings))
    for deadline_s in settings.deadlines_s:
        name = OURS if deadline_s == max(settings.deadlines_s) else f"{OURS}-{deadline_s:g}s"
        arms[name] = _timed(_ours(instance, deadline_s, settings))
    if settings.best_s:
        arms["best"] = _timed(_ours(instance, settings.best_s, settings))
    best = max(worth_of(instance, _end(instance, arm.moves)) for arm in arms.values())
    least = min(arm.bound for arm in arms.values())
    greedy = _rate(instance, arms["greedy"].moves)
    return [
        Row(PROTOCOL, case.name, arm, metric, value, unit, settings.seed)
        for arm, outcome in arms.items()
        for metric, value, unit in _metrics(instance, outcome, best, least, greedy)
    ]


def _metrics(
    instance: Instance, outcome: _Outcome, best: float, bound: float, greedy: float
) -> Iterator[tuple[str, float, str]]:
    rate = _rate(instance, outcome.moves)
    worth = worth_of(instance, _end(instance, outcome.moves))
    per_hole = _rate_of_hole(instance)
    yield "fragment_rate", rate, "1"
    yield "bound", max(0.0, rate - (bound - worth) * per_hole), "1"
    yield "above_best", (best - worth) * per_hole, "1"
    yield "below_greedy", greedy - rate, "1"
    yield "moves", len(outcome.moves), "1"
    yield "broken", len(find_violations(instance, outcome.moves)), "1"
    yield "wall_s", outcome.wall_s, "s"
    yield "cpu_s", outcome.cpu_s, "s"


def _rate_of_hole(instance: Instance) -> float:
    """Return what one unit of worth takes off the fragment rate; 0 where holes differ."""
    if len(instance.holes) != 1:
        return 0.0
    [hole] = instance.holes
    column = hole.column
    free = np.maximum(instance.free(instance.home)[:, column], 0).sum()
    return float(hole.requests[column]) / hole.weight / max(1.0, float(free))


def _timed(
    act: Callable[[], tuple[tuple[tuple[int, int], ...], float]],
) -> _Outcome:
    wall_s, cpu_s = time.monotonic(), time.process_time()
    moves, bound = act()
    return _Outcome(moves, time.monotonic() - wall_s, time.process_time() - cpu_s, bound)


def _by_parts(instance: Instance, settings: _Settings) -> IntArray:
    return solve_parts(
        instance,
        parts=POP_PARTS,
        seconds=min(settings.program_s, 10.0),
        workers=settings.workers,
        seed=settings.seed,
    )


def _by_program(
    instance: Instance, settings: _Settings
) -> tuple[tuple[tuple[int, int], ...], float]:
    found = solve_program(
        instance, seconds=settings.program_s, workers=settings.workers, seed=settings.seed
    )
    return _in_order(instance, found.places), found.bound


def _ours(
    instance: Instance, deadline_s: float, settings: _Settings
) -> Callable[[], tuple[tuple[tuple[int, int], ...], float]]:
    def act() -> tuple[tuple[tuple[int, int], ...], float]:
        with ThreadPoolExecutor(settings.workers) as pool:
            solution = solve(
                instance,
                Params(
                    deadline_s=deadline_s,
                    seed=settings.seed,
                    workers=settings.workers,
                ),
                clock=settings.clock,
                watch=watch_clock if settings.cpu_clock else None,
                run_all=lambda tasks: list(pool.map(lambda task: task(), tasks)),
            )
        return tuple((move.item, move.target) for move in solution.moves), solution.bound

    return act


def _in_order(instance: Instance, places: IntArray) -> tuple[tuple[int, int], ...]:
    order, _ = order_of(instance, build_static(instance), places)
    return tuple((int(item), int(places[item])) for item in order)


def _end(instance: Instance, moves: Sequence[tuple[int, int]]) -> IntArray:
    places = instance.home.copy()
    for item, target in moves:
        places[item] = target
    return places


def _rate(instance: Instance, moves: Sequence[tuple[int, int]]) -> float:
    return fragment_rate(instance, _end(instance, moves))


app = typer.Typer()


@app.command()
def main(
    instances: Annotated[
        list[Path] | None,
        typer.Option(help="JSON files of instances, gzip or not.", exists=True, dir_okay=False),
    ] = None,
    quick: Annotated[bool, typer.Option(help="One small cluster, short limits.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of clusters and searches.")] = SEED,
    deadline_s: Annotated[str, typer.Option(help="Our deadlines, seconds.")] = "1,3,5",
    mnl: Annotated[str, typer.Option(help="Most moves.")] = "10,25,50",
    snapshots: Annotated[int, typer.Option(help="Generated clusters of 280 hosts.", min=1)] = 3,
    program_s: Annotated[float, typer.Option(help="Limit of the whole program, seconds.")] = 60.0,
    best_s: Annotated[
        float, typer.Option(help="Further seconds of our search, for the best known; 0: none.")
    ] = 0.0,
    workers: Annotated[int, typer.Option(help="Workers of every arm.", min=1)] = 2,
    cpu_clock: Annotated[
        bool, typer.Option(help="Our deadlines count CPU seconds of all workers.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Bounded migrations beside greedy, POP and an integer program; see the module's text."""
    rows = run(
        quick=quick,
        seed=seed,
        instances=tuple(instances or ()),
        deadlines_s=_numbers(deadline_s, "--deadline-s"),
        limits=[int(most) for most in _numbers(mnl, "--mnl")],
        snapshots=snapshots,
        program_s=program_s,
        best_s=best_s,
        workers=workers,
        cpu_clock=cpu_clock,
    )
    finish(rows, json_file)


def _numbers(text: str, field: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise BadInputError(f"{text!r} is no list of numbers; write 1,3,5", field=field) from None
    if any(number <= 0 for number in found):
        raise BadInputError("numbers must be above 0", field=field)
    return found
