"""What every training shows: a progress bar and plots."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from moorage_policies.errors import UnavailableError


def make_bar(console: Console) -> Progress:
    """Return a progress bar that vanishes when it is done."""
    return Progress(
        TextColumn("[progress.description]{task.description}", justify="left"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def load_pyplot() -> Any:  # noqa: ANN401 - matplotlib is optional and untyped
    """Return ``matplotlib.pyplot``, set to draw into files.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    try:
        import_module("matplotlib").use("Agg")
        return import_module("matplotlib.pyplot")
    except ImportError as error:
        raise UnavailableError("plots need matplotlib; install moorage[train]") from error
