"""``moorage snapshot``: what the planner sees, as a file."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
import urllib3

from moorage_cli.snapshot.read import read_snapshot
from moorage_cluster.session import ApiSession
from moorage_crds.snapshot_file import decode, encode
from moorage_policies.errors import UnavailableError

LAST_SNAPSHOT = "/debug/planner/snapshot"
TIMEOUT_S = 30.0

app = typer.Typer()


@app.command()
def snapshot(
    file: Annotated[
        Path | None, typer.Argument(help="File to write; default: standard output.")
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Default: $KUBECONFIG, then ~/.kube/config.", exists=True)
    ] = None,
    extender: Annotated[
        str | None,
        typer.Option(
            help="Address of an extender's health port: write the facts that its planner solved "
            "last, instead of the cluster as it is now.",
            metavar="URL",
        ),
    ] = None,
) -> None:
    """Write what the planner sees: `moorage plan --file` computes a plan again from it.

    The file has a version. It names nodes and pods with their labels and annotations, and no
    Secrets, images or commands.
    """
    text = _of_planner(extender) if extender else asyncio.run(_of_cluster(kubeconfig))
    if file is None:
        sys.stdout.buffer.write(text + b"\n")
    else:
        file.write_bytes(text + b"\n")
        facts = decode(text).facts
        typer.echo(f"{file}: {len(facts.nodes)} nodes, {len(facts.pods)} pods")


async def _of_cluster(kubeconfig: Path | None) -> bytes:
    async with await ApiSession.connect(kubeconfig, user_agent="moorage-snapshot") as session:
        return encode(await read_snapshot(session))


def _of_planner(address: str) -> bytes:
    url = address.rstrip("/") + LAST_SNAPSHOT
    try:
        answer = urllib3.request("GET", url, timeout=TIMEOUT_S, retries=False)
    except urllib3.exceptions.HTTPError as error:
        raise UnavailableError(f"{url} does not answer ({error}); give the health port") from error
    if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
        raise UnavailableError(f"{url}: {answer.data.decode(errors='replace')}")
    return answer.data
