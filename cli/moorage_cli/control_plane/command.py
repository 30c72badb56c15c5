"""``moorage control-plane``: get the programs, run a control plane until it is stopped."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from types import FrameType
from typing import Annotated, Final, NoReturn

import typer

from moorage_cli.control_plane.binaries import Binaries
from moorage_cli.control_plane.download import Hosts
from moorage_cli.control_plane.errors import ComponentFailedError
from moorage_cli.control_plane.obtain import obtain_binaries, obtain_helm, obtain_prometheus
from moorage_cli.control_plane.plane import ControlPlane
from moorage_cli.control_plane.progress import shown_progress
from moorage_cli.control_plane.scheduler_config import SchedulerConfig
from moorage_cli.control_plane.simulated_nodes import A100, H100, gpu_nodes
from moorage_cli.control_plane.toolchains import DEFAULT_MINOR, KUBERNETES_VERSIONS

_LOOK_EVERY_S: Final = 0.5
_TERMINATED: Final = 128 + signal.SIGTERM

app = typer.Typer(no_args_is_help=True, help="Run a real Kubernetes control plane on this machine.")

Download = Annotated[
    bool, typer.Option(help="Download released programs where the network allows it.")
]


@app.command()
def build(
    minors: Annotated[
        str,
        typer.Option(
            help=f"Comma-separated, out of {', '.join(KUBERNETES_VERSIONS)}; empty: none."
        ),
    ] = DEFAULT_MINOR,
    download: Download = True,
    helm: Annotated[bool, typer.Option(help="Get helm, too, which renders the chart.")] = False,
    prometheus: Annotated[
        bool, typer.Option(help="Get prometheus, too, which scaling can read from.")
    ] = False,
) -> None:
    """Get all programs into the cache: found, downloaded, or built from Go modules."""
    if helm:
        with shown_progress() as report:
            typer.echo(f"helm {obtain_helm(report, Hosts() if download else None)}")
    if prometheus:
        with shown_progress() as report:
            typer.echo(f"prometheus {obtain_prometheus(report)}")
    for minor in filter(None, minors.replace(" ", "").split(",")):
        for program, path in _obtain(minor, download=download).paths.items():
            typer.echo(f"{minor} {program} {path}")


@app.command()
def up(
    minor: Annotated[
        str, typer.Option(help=f"Kubernetes minor: {' or '.join(KUBERNETES_VERSIONS)}.")
    ] = DEFAULT_MINOR,
    nodes: Annotated[int, typer.Option(min=0, help="Simulated nodes with 8 GPUs each.")] = 0,
    keep: Annotated[bool, typer.Option(help="Keep data and logs after the end.")] = False,
    download: Download = True,
) -> None:
    """Run a control plane in the foreground until Ctrl-C; nothing of it is left afterwards."""
    signal.signal(signal.SIGTERM, _end)
    binaries = _obtain(minor, download=download)
    with ControlPlane(binaries=binaries, keep_directory=keep) as plane, suppress(KeyboardInterrupt):
        plane.start_scheduler(SchedulerConfig(("default-scheduler",)))
        if nodes:
            plane.create_nodes(gpu_nodes(nodes, models=(H100, A100)))
        typer.echo(f"Kubernetes {plane.version} with {nodes} GPU nodes serves {plane.server}")
        typer.echo(f"export KUBECONFIG={plane.kubeconfig}")
        typer.echo("Ctrl-C ends it.")
        _watch(plane)
    if keep:
        typer.echo(f"data and logs: {plane.directory}")


def _obtain(minor: str, *, download: bool) -> Binaries:
    with shown_progress() as report:
        return obtain_binaries(minor, report, Hosts() if download else None)


def _watch(plane: ControlPlane) -> NoReturn:
    while True:
        ended = plane.ended_components()
        if ended:
            tails = "\n".join(f"{name}:\n{plane.log_tail(name)}" for name in ended)
            raise ComponentFailedError(f"{', '.join(ended)} ended by itself\n{tails}")
        time.sleep(_LOOK_EVERY_S)


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(_TERMINATED)
