"""``moorage why``: what the extender decided about a pod, with the numbers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from moorage_cli.why.records import Decision, ask_address, ask_cluster
from moorage_cli.why.tables import render
from moorage_cluster.session import ApiSession
from moorage_policies.errors import BadInputError

app = typer.Typer()

PIPE_WIDTH = 160


@app.command()
def why(
    pod: Annotated[str, typer.Argument(help="POD, or NAMESPACE/POD.", metavar="POD")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Its namespace.")] = "default",
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Default: $KUBECONFIG, then ~/.kube/config.", exists=True)
    ] = None,
    extender: Annotated[
        str | None,
        typer.Option(help="Health address of an extender that runs outside the cluster."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> None:
    """Show why a pod was sent to its node, or was refused: every scorer's points, and their sum.

    The extender remembers its last decisions (``decisions_kept``) until it restarts.
    """
    place, _, name = pod.rpartition("/")
    place = place or namespace
    found = asyncio.run(_ask(kubeconfig, extender, place, name))
    if not found:
        message = (
            f"no extender remembers a decision about {place}/{name}; look at its schedulerName, "
            "and whether it asks for GPUs"
        )
        raise BadInputError(message, field="POD")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    console = Console()
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(render(found))


async def _ask(
    kubeconfig: Path | None, extender: str | None, namespace: str, pod: str
) -> list[Decision]:
    if extender is not None:
        return await ask_address(extender, namespace, pod)
    async with await ApiSession.connect(kubeconfig, user_agent="moorage-why") as session:
        return await ask_cluster(session, namespace, pod)
