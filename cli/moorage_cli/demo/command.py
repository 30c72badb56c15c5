"""``moorage demo``: play the story live, keep it, or simulate it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Console

from moorage_cli.control_plane import ControlPlane
from moorage_cli.control_plane.download import Hosts
from moorage_cli.control_plane.obtain import obtain_binaries
from moorage_cli.control_plane.progress import shown_progress
from moorage_cli.control_plane.toolchains import DEFAULT_MINOR, KUBERNETES_VERSIONS
from moorage_cli.demo.live import LiveDemo
from moorage_cli.demo.simulated import tell_simulated
from moorage_cli.demo.story import Check
from moorage_cli.installation import EXTENDER, Installation

_FILE_WIDTH = 140

app = typer.Typer(help="The main job, live: two pools, three zones, one scheduler.")


@app.callback(invoke_without_command=True)
def demo(
    minor: Annotated[
        str, typer.Option(help=f"Kubernetes minor: {' or '.join(KUBERNETES_VERSIONS)}.")
    ] = DEFAULT_MINOR,
    keep: Annotated[bool, typer.Option(help="Leave it running until Ctrl-C.")] = False,
    simulate: Annotated[
        bool, typer.Option(help="Play it on the in-memory simulator, without any control plane.")
    ] = False,
) -> None:
    """Play the story; the exit code says whether everything held."""
    console = Console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    checks = _tell_simulated(console) if simulate else _tell_live(console, minor, keep=keep)
    if not all(check.holds for check in checks):
        raise typer.Exit(1)


def _tell_simulated(console: Console) -> list[Check]:
    started_s = time.monotonic()
    checks = tell_simulated(console)
    summarise(console, checks, time.monotonic() - started_s)
    return checks


def _tell_live(console: Console, minor: str, *, keep: bool) -> list[Check]:
    with shown_progress() as report:
        binaries = obtain_binaries(minor, report, Hosts())
    started_s = time.monotonic()
    with (
        console.status("starting a real control plane") as status,
        ControlPlane(binaries=binaries) as plane,
        Installation(plane) as installation,
    ):
        live = LiveDemo(installation, console)
        status.update("starting nodes, extender, operator and scheduler")
        live.set_up()
        status.stop()
        console.print(f"Kubernetes {plane.version} and Moorage are up")
        checks = live.tell()
        summarise(console, checks, time.monotonic() - started_s)
        if keep:
            _keep(console, installation)
    return checks


def summarise(console: Console, checks: Iterable[Check], took_s: float) -> None:
    """Print what was checked."""
    console.print(f"\n[bold]Summary[/bold] (after {took_s:.0f} s)")
    for check in checks:
        mark = "[green]held[/green]" if check.holds else "[red]did not hold[/red]"
        console.print(f"  {mark}  {check.what}")


def _keep(console: Console, installation: Installation) -> None:
    plane, door = installation.plane, installation.doors[EXTENDER]
    for line in (
        f"\nexport KUBECONFIG={plane.kubeconfig}",
        "kubectl get gip,gir,pods -n demo   (Ctrl-C ends everything)",
        f"moorage doctor --extender {door.health}",
    ):
        console.print(line, soft_wrap=True, highlight=False)
    try:
        while not plane.ended_components():
            time.sleep(1.0)
    except KeyboardInterrupt:
        console.print("ended")
