"""``moorage doctor``: what is wrong with a cluster, and what to do about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from moorage_cli.doctor.checks import Finding, Level, examine
from moorage_cli.doctor.fetch import fetch_facts
from moorage_cluster.session import ApiSession
from moorage_policies.errors import UnavailableError

app = typer.Typer()

_STYLES: Final[dict[Level, str]] = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@app.command()
def doctor(
    kubeconfig: Annotated[
        Path | None,
        typer.Option(help="Default: $KUBECONFIG, then ~/.kube/config.", exists=True),
    ] = None,
    extender: Annotated[
        str | None,
        typer.Option(help="Health address of an extender that runs outside the cluster."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of findings.")] = False,
) -> None:
    """Check a cluster for Moorage; ends with code 1 when something must be repaired."""
    findings = asyncio.run(_findings(kubeconfig, extender))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        Console().print(render(findings))
    raise typer.Exit(code=int(any(finding.level == "fail" for finding in findings)))


def render(findings: Iterable[Finding]) -> Table:
    """The findings as a table for people."""
    table = Table()
    for title in ("", "check", "finding", "remedy"):
        table.add_column(title, overflow="fold")
    for one in findings:
        level = Text(one.level, _STYLES[one.level])
        table.add_row(level, *map(Text, (one.check, one.message, one.remedy)))
    return table


async def _findings(kubeconfig: Path | None, extender: str | None) -> tuple[Finding, ...]:
    async with await ApiSession.connect(kubeconfig, user_agent="moorage-doctor") as session:
        try:
            return examine(await fetch_facts(session, extender))
        except UnavailableError as error:
            remedy = "check the kubeconfig, the network and your credentials"
            return (Finding("API server", "fail", str(error), remedy),)
