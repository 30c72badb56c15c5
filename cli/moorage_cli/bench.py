"""``moorage bench``: the benchmark protocols, which live in their own package above this one."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from moorage_cli.lazy import SubCommand, lazy_group

PACKAGE = "moorage_benchmarks"
PROTOCOLS = {
    "extender": SubCommand(f"{PACKAGE}.extender", "The extender's verbs over real HTTP."),
    "scheduler": SubCommand(f"{PACKAGE}.scheduler", "Pods a second of the real kube-scheduler."),
    "hints": SubCommand(f"{PACKAGE}.hints", "Hints to intents: accuracy and latency."),
    "network": SubCommand(
        f"{PACKAGE}.network", "Where workloads run fastest, on simulated and measured networks."
    ),
    "packing": SubCommand(
        f"{PACKAGE}.packing", 'Packing by priority beside the model of "Priority Matters".'
    ),
    "packing-scale": SubCommand(
        f"{PACKAGE}.packing_scale", "Packing on up to a thousand nodes, beside POP."
    ),
    "fragmentation": SubCommand(
        f"{PACKAGE}.fragmentation", "GPUs that nobody gets, beside FGD and others."
    ),
    "load": SubCommand(f"{PACKAGE}.load", "What old measurements of busy nodes cost."),
    "rescheduling": SubCommand(
        f"{PACKAGE}.rescheduling", "Bounded migrations beside greedy, POP and an integer program."
    ),
    "rescheduling-gpus": SubCommand(
        f"{PACKAGE}.rescheduling_gpus",
        "Whole GPU nodes got back per move, beside descheduler's rule.",
    ),
    "probe": SubCommand(f"{PACKAGE}.probe", "What probes read of a shaped network, and cost."),
    "operator": SubCommand(f"{PACKAGE}.operator", "The operator with a thousand pools."),
    "scaling": SubCommand(
        f"{PACKAGE}.scaling", "Replicas that follow replayed load, beside published laws."
    ),
}

app = typer.Typer(cls=lazy_group(PROTOCOLS), no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Run a benchmark protocol; each compares ours with its peers in the same run."""


@app.command("all")
def run_all(
    quick: Annotated[bool, typer.Option(help="Small instances, to see that it runs.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all rows here.")] = None,
) -> None:
    """Run every protocol, one after the other."""
    report = import_module(f"{PACKAGE}.report")
    rows = []
    for protocol in PROTOCOLS.values():
        found = import_module(protocol.module).run(quick=quick, seed=seed)
        report.show(found)
        rows += found
    if json_file is not None:
        report.write_json(rows, json_file)
