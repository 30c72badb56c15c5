"""``moorage train``: the group of trainings."""

from __future__ import annotations

import typer

from moorage_cli.lazy import SubCommand, lazy_group

TRAININGS = {
    "network": SubCommand(
        "moorage_cli.train.network", "Learn from recorded runs where workloads run fastest."
    ),
    "weights": SubCommand(
        "moorage_cli.train.weights", "Fit the scorers' weights to recorded days in hindsight."
    ),
}

app = typer.Typer(cls=lazy_group(TRAININGS), no_args_is_help=True)


@app.callback()
def train() -> None:
    """Fit models and weights offline; what comes out is a JSON document with a digest."""
