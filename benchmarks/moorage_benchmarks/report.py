"""What every protocol reports: flat rows, as a table on the screen and as JSON.

A protocol is a module with ``run(*, quick, seed, ...) -> list[Row]`` and a typer ``app`` that calls
it and hands the rows to :func:`finish`; ``moorage bench`` finds it by its name in
``moorage_cli.bench``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the rows here.")]
"""The option of every protocol for a copy of its rows."""

OURS = "moorage"
_FILE_WIDTH = 160


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number.

    Args:
        protocol: name of the protocol (``extender``).
        case: what was measured on (``prioritize-1000``).
        arm: who was measured; ours is ``moorage``.
        metric: what was measured, with its unit in the name (``p50_ms``).
        value: the number.
        unit: its unit (``ms``, ``1/s``, ``MiB``, ``1`` for counts and ratios).
        seed: seed of the random choices.
    """

    protocol: str
    case: str
    arm: str
    metric: str
    value: float
    unit: str
    seed: int


def show(rows: Sequence[Row], console: Console | None = None) -> None:
    """Print one table per protocol: a line per case and arm, a column per metric."""
    console = console or Console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    for protocol in dict.fromkeys(row.protocol for row in rows):
        console.print(_table(protocol, [row for row in rows if row.protocol == protocol]))


def write_json(rows: Iterable[Row], path: Path) -> None:
    """Write the rows as a JSON list of flat objects."""
    text = json.dumps([asdict(row) for row in rows], indent=1)
    path.write_text(f"{text}\n", encoding="utf-8")


def finish(rows: Sequence[Row], json_file: Path | None) -> None:
    """Show the rows and, if asked, write them."""
    show(rows)
    if json_file is not None:
        write_json(rows, json_file)


def _table(protocol: str, rows: Sequence[Row]) -> Table:
    metrics = tuple(dict.fromkeys((row.metric, row.unit) for row in rows))
    table = Table(title=f"{protocol} (seed {rows[0].seed})", title_justify="left")
    table.add_column("case")
    table.add_column("arm")
    for metric, _unit in metrics:
        table.add_column(metric, justify="right")
    values = {(row.case, row.arm, row.metric): row.value for row in rows}
    for case, arm in dict.fromkeys((row.case, row.arm) for row in rows):
        cells = (values.get((case, arm, metric)) for metric, _unit in metrics)
        style = "bold" if arm == OURS else None
        table.add_row(case, arm, *("" if v is None else f"{v:,.4g}" for v in cells), style=style)
    return table
