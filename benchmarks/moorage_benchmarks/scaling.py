"""Protocol ``scaling``: a disaggregated service replayed under published autoscaling laws and ours.

Each trace is played once per policy and start-up time on one simulator; the first part warms
everybody up, only the rest counts. A request is good when it waited no longer than the target
(``wait_target_s`` above an idle service's time to the first token) and its mean time between tokens
kept the target. ``useful_ratio`` is the accelerator time that good requests need (prompts at their
measured time, tokens at the largest good batch) over the time paid, starting and leaving replicas
included. ``oracle`` knows the trace: the fewest replicas per tick, played and mended
on the same simulator, asked for one start-up ahead. ``static`` holds the greatest of those.
``moorage-reactive`` is ours without forecast and without the room for its errors and for bursts;
``moorage-reactive-2`` the same with two spare replicas per role, ``moorage-standby`` ours with one.
``scaling-forecast`` compares what is said of the load one start-up ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import Progress

from moorage_benchmarks.report import OURS, JsonFile, Row, finish
from moorage_benchmarks.scaling_forecasts import arriving_load, measure_forecasts
from moorage_benchmarks.scaling_ours import Moorage, Scripted, find_needs, plan_ahead
from moorage_benchmarks.scaling_peers import (
    Concurrency,
    HeteroScale,
    LatencySteps,
    Saturation,
    SlaPlanner,
    StaticPeak,
    TokensPerRole,
    UtilisationHpa,
)
from moorage_benchmarks.scaling_profiles import DEFAULT_PROFILE, Profile, load_profile
from moorage_benchmarks.scaling_service import DECODE, PREFILL, Played, Policy, Setting, simulate
from moorage_benchmarks.scaling_ticks import measure_ticks
from moorage_benchmarks.scaling_traces import Trace, read_trace
from moorage_policies.errors import BadInputError
from moorage_policies.types import BoolArray, IntArray

PROTOCOL = "scaling"
SEED = 1
START_UPS_S = (60.0, 180.0, 300.0)
TICK_S = 15.0
WARM_RATIO = 0.25
TURN_S = 600.0
POOLS, QUICK_POOLS = 1000, 50
BUNDLED = ("azure-conv", "azure-code", "mooncake-conversation", "servegen-m-large_rates")


@dataclass(frozen=True, slots=True)
class Case:
    """A trace with all that the policies are given."""

    trace: Trace
    profile: Profile
    needs: IntArray
    service_s: float
    ratio: float
    first: tuple[int, int]

    @property
    def warm_s(self) -> float:
        """Return when counting begins."""
        return self.trace.end_s * WARM_RATIO


def run(
    *,
    quick: bool = False,
    seed: int = SEED,
    traces: Sequence[Path] = (),
    profile: str = DEFAULT_PROFILE,
    placement: str = "switch",
    start_ups_s: Sequence[float] = START_UPS_S,
    rate_per_s: float = 40.0,
    hours: float = 12.0,
    plots: Path | None = None,
) -> list[Row]:
    """Return the rows of every policy per trace and start-up time.

    Args:
        quick: one start-up time and a short stretch.
        seed: of requests that are made of rates.
        traces: files to play instead of those that come with the package.
        profile: model, hardware and tensor parallelism.
        placement: where prefill and decode sit: ``node``, ``switch`` or ``fabric``.
        start_ups_s: start-up times to try.
        rate_per_s: mean rate to which rates by client are thinned.
        hours: length of what is made of rates by client.
        plots: folder for pictures of counts and load over time.
    """
    if quick:
        start_ups_s, rate_per_s, hours = (start_ups_s[0],), min(rate_per_s, 10.0), 1.0
    chosen = [*traces] or [_bundled(name) for name in BUNDLED]
    made = load_profile(profile, placement)
    rows: list[Row] = []
    with Progress(transient=True) as progress:
        task = progress.add_task("scaling", total=len(chosen) * len(start_ups_s) * len(_ARMS))
        for path in chosen:
            trace = read_trace(path, rate_per_s=rate_per_s, hours=hours, seed=seed)
            case = prepare(trace, made)
            for start_up_s in start_ups_s:
                played = {}
                for arm, make in _ARMS.items():
                    played[arm] = play(case, make(case, start_up_s), start_up_s)
                    rows += _rows(case, played[arm], arm, start_up_s, seed)
                    progress.advance(task)
                rows += _foreseen(case, start_up_s, seed)
                if plots is not None:
                    _draw(case, played, start_up_s, plots)
    pools = QUICK_POOLS if quick else POOLS
    rows += [
        Row(f"{PROTOCOL}-ticks", f"{pools}-pools", OURS, metric, value, unit, seed)
        for metric, value, unit in measure_ticks(pools)
    ]
    return rows


def prepare(trace: Trace, profile: Profile) -> Case:
    """Return the case: what the oracle needs, and what everybody knows of the service.

    Raises:
        BadInputError: the trace is too short to warm up and count.
    """
    if trace.end_s < 8 * TICK_S or len(trace) < 10:
        raise BadInputError(f"{trace.name} is shorter than two minutes; give a longer trace")
    warm = trace.between(0.0, trace.end_s * WARM_RATIO)
    known = warm if len(warm) else trace
    service_s = float(profile.to_prefill_s(known.prompt_tokens).mean())
    decode_s = float(known.output_tokens.mean()) / profile.good_tokens_per_s
    ratio = service_s / decode_s
    rate = len(known) / known.end_s
    first = (max(2, round(rate * service_s * 1.5)), max(2, round(rate * decode_s * 1.5)))
    needs = find_needs(trace, profile, TICK_S)
    return Case(trace, profile, needs, service_s, ratio, first)


def play(case: Case, policy: Policy, start_up_s: float) -> Played:
    """Return what becomes of the case under a policy."""
    first = case.first
    if isinstance(policy, (StaticPeak, Scripted)):
        first = _at_start(policy, case)
    most = tuple(2 * count + 2 for count in _peak(case))
    setting = Setting(case.profile, start_up_s, first, (most[0], most[1]), tick_s=TICK_S)
    return simulate(case.trace, policy, setting)


def _at_start(policy: Policy, case: Case) -> tuple[int, int]:
    """Return what those who know the trace begin with."""
    if isinstance(policy, StaticPeak):
        return _peak(case)
    return int(case.needs[:4, PREFILL].max()), int(case.needs[:4, DECODE].max())


def _peak(case: Case) -> tuple[int, int]:
    return int(case.needs[:, PREFILL].max()), int(case.needs[:, DECODE].max())


def _foreseen(case: Case, start_up_s: float, seed: int) -> list[Row]:
    load = arriving_load(case.trace, case.profile, TICK_S)
    warm = int(case.warm_s / TICK_S)
    return [
        Row(
            f"{PROTOCOL}-forecast",
            f"{case.trace.name}@{start_up_s:g}s",
            arm,
            metric,
            value,
            unit,
            seed,
        )
        for arm, metric, value, unit in measure_forecasts(load, warm, start_up_s, TICK_S)
    ]


def _moorage(case: Case, start_up_s: float, *, reactive: bool = False, standby: int = 0) -> Policy:
    return Moorage(
        case.profile,
        TICK_S,
        start_up_s=start_up_s,
        service_s=case.service_s,
        ratio=case.ratio,
        reactive=reactive,
        standby=standby,
    )


def _oracle(case: Case, start_up_s: float) -> Policy:
    return Scripted(plan_ahead(case.needs, int(np.ceil(start_up_s / TICK_S)) + 1), TICK_S)


_ARMS: dict[str, Callable[[Case, float], Policy]] = {
    "static-peak": lambda case, _: StaticPeak(_peak(case)),
    "hpa-utilisation": lambda case, _: UtilisationHpa(case.profile, TICK_S),
    "kpa-concurrency": lambda case, _: Concurrency(case.profile, TICK_S),
    "tokens-per-role": lambda case, _: TokensPerRole(case.profile, TICK_S),
    "heteroscale-rule": lambda case, _: HeteroScale(case.profile, TICK_S, case.ratio),
    "latency-steps": lambda case, _: LatencySteps(case.profile, TICK_S),
    "dynamo-planner": lambda case, _: SlaPlanner(case.profile, TICK_S),
    "llm-d-saturation": lambda case, _: Saturation(case.profile, TICK_S),
    "moorage-reactive": lambda case, d: _moorage(case, d, reactive=True),
    "moorage-reactive-2": lambda case, d: _moorage(case, d, reactive=True, standby=2),
    "moorage-standby": lambda case, d: _moorage(case, d, standby=1),
    OURS: _moorage,
    "oracle": _oracle,
}


def _rows(case: Case, played: Played, arm: str, start_up_s: float, seed: int) -> list[Row]:
    name = f"{case.trace.name}@{start_up_s:g}s"
    return [
        Row(PROTOCOL, name, arm, metric, value, unit, seed)
        for metric, value, unit in measure(case, played)
    ]


def measure(case: Case, played: Played) -> Iterator[tuple[str, float, str]]:
    """Yield the numbers of one replay, the warm-up left out."""
    trace, profile = case.trace, case.profile
    counted = trace.arrival_s >= case.warm_s
    first = int(case.warm_s / TICK_S)
    good = played.good & counted
    useful_s = (
        profile.to_prefill_s(trace.prompt_tokens[good]).sum()
        + trace.output_tokens[good].sum() / profile.good_tokens_per_s
    ) * profile.gpus
    paid_s = float(played.paid_gpu_s[first:].sum())
    missed = trace.arrival_s[counted & ~played.good]
    desired, ready = played.desired[first:], played.ready[first:]
    changes = np.diff(desired, axis=0)
    yield "useful_ratio", float(useful_s / paid_s), "1"
    yield "gpu_hours", paid_s / 3600.0, "h"
    yield "good_ratio", float(played.good[counted].mean()), "1"
    yield "wait_kept_ratio", float((played.wait_s <= profile.wait_target_s)[counted].mean()), "1"
    kept = played.itl_s <= profile.itl_target_s * (1 + 1e-9)
    yield "itl_kept_ratio", float(kept[counted].mean()), "1"
    yield "missed_s", float(len(np.unique(missed.astype(np.int64)))), "s"
    yield "actions", float((changes != 0).any(axis=1).sum()), "1"
    yield "reversals", float(sum(_reversals(changes[:, role]) for role in (0, 1))), "1"
    serving: BoolArray = ready[:, DECODE] > 0
    shares = ready[serving, PREFILL] / ready[serving, DECODE]
    yield "ratio_variance", float(np.var(shares)), "1"


def _reversals(changes: np.ndarray[tuple[int], np.dtype[np.float64]]) -> int:
    """Return how often a count turned within ten minutes."""
    moved = np.flatnonzero(changes)
    turned = np.sign(changes[moved[1:]]) != np.sign(changes[moved[:-1]])
    return int((turned & (np.diff(moved) * TICK_S <= TURN_S)).sum())


def _bundled(name: str) -> Path:
    return Path(str(files("moorage_benchmarks") / "traces" / f"{name}.csv.gz"))


def _draw(case: Case, played: dict[str, Played], start_up_s: float, folder: Path) -> None:
    """Draw asked-for replicas of the telling arms over time, beside what was needed."""
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(2, 1, figsize=(11, 6), sharex=True)
    for role, (axis, title) in enumerate(zip(axes, ("prefill", "decode"), strict=True)):
        for arm in ("hpa-utilisation", "dynamo-planner", OURS, "oracle"):
            counts = played[arm].desired[:, role]
            axis.step(np.arange(len(counts)) * TICK_S / 3600.0, counts, label=arm, linewidth=0.9)
        axis.set_ylabel(f"{title} replicas")
    axes[0].set_title(f"{case.trace.name}, start-up {start_up_s:g} s")
    axes[0].legend(loc="upper left", fontsize=8)
    axes[1].set_xlabel("hours")
    figure.savefig(folder / f"{case.trace.name}-{start_up_s:g}s.png", dpi=120)
    plt.close(figure)


app = typer.Typer()


@app.callback(invoke_without_command=True)
def scaling(
    traces: Annotated[
        list[Path] | None,
        typer.Argument(help="Trace files; absent: the slices that come with the package."),
    ] = None,
    trace: Annotated[list[Path] | None, typer.Option(help="A trace file; may be repeated.")] = None,
    profile: Annotated[str, typer.Option(help="model/hardware/GPUs.")] = DEFAULT_PROFILE,
    placement: Annotated[str, typer.Option(help="node, switch or fabric.")] = "switch",
    start_ups: Annotated[str, typer.Option(help="Start-up times in seconds, by comma.")] = (
        "60,180,300"
    ),
    rate: Annotated[float, typer.Option(help="Mean requests/s of rates by client.")] = 40.0,
    hours: Annotated[float, typer.Option(help="Length of what is made of rates.")] = 12.0,
    plots: Annotated[Path | None, typer.Option(help="Folder for pictures.")] = None,
    quick: Annotated[bool, typer.Option(help="Small, to see that it runs.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = SEED,
    json_file: JsonFile = None,
) -> None:
    """Replay traces on a simulated service under published autoscaling laws and ours."""
    rows = run(
        quick=quick,
        seed=seed,
        traces=[*(traces or ()), *(trace or ())],
        profile=profile,
        placement=placement,
        start_ups_s=_numbers(start_ups),
        rate_per_s=rate,
        hours=hours,
        plots=plots,
    )
    finish(rows, json_file)


def _numbers(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise BadInputError("must be numbers by comma", field="--start-ups") from error
    if not values or min(values) < 0.0:
        raise BadInputError("must be at least 0", field="--start-ups")
    return values
