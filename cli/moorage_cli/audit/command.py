"""``moorage audit``: whether a running cluster keeps the promises."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from moorage_cli.audit.watch import to_history
from moorage_cli.snapshot.read import Seen, read_cluster
from moorage_cluster.session import ApiSession
from moorage_policies.invariants import Violation, audit

PROMISES = {
    1: "no node is promised more than it has",
    2: "pods sit where they are accepted",
    3: "gangs run whole or not at all",
    4: "only who may be evicted is evicted",
    5: "every eviction is a step of a stored plan, once",
    6: "only the holder of the Lease writes",
}
BROKEN_EXIT_CODE = 1

app = typer.Typer()


@app.command("audit")
def audit_cluster(
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Default: $KUBECONFIG, then ~/.kube/config.", exists=True)
    ] = None,
    looks: Annotated[int, typer.Option(help="How often to look.", min=1, max=100_000)] = 3,
    every_s: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1)] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at a cluster a few times and say which promises are broken; exit code 1 if any is.

    One look finds over-committed nodes; moves, evictions and gangs take at least two. Who holds a
    Lease at which write cannot be seen from outside; the tests check that.
    """
    seen = asyncio.run(_watch(kubeconfig, looks, every_s, quiet=as_json))
    broken = audit(to_history(seen))
    if as_json:
        rows = [asdict(violation) for violation in broken]
        typer.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
    else:
        Console().print(_table(broken))
    if broken:
        raise typer.Exit(BROKEN_EXIT_CODE)


async def _watch(kubeconfig: Path | None, looks: int, every_s: float, *, quiet: bool) -> list[Seen]:
    seen = []
    async with await ApiSession.connect(kubeconfig, user_agent="moorage-audit") as session:
        for look in track(range(looks), "looking", transient=True, disable=quiet):
            if look:
                await asyncio.sleep(every_s)
            seen.append(await read_cluster(session))
    return seen


def _table(broken: tuple[Violation, ...]) -> Table:
    table = Table()
    for title in ("promise", "kept", "where", "what"):
        table.add_column(title, overflow="fold")
    for number, promise in PROMISES.items():
        found = [violation for violation in broken if violation.invariant == number]
        if number == max(PROMISES):
            table.add_row(promise, "not seen from here", "", "")
        elif not found:
            table.add_row(promise, "[green]yes[/]", "", "")
        for violation in found:
            table.add_row(promise, "[bold red]no[/]", violation.subject, violation.message)
    return table
