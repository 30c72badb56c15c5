"""``moorage hints``: what Moorage understands of a hint, before anybody writes it on a pod."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from moorage_policies.hints import Intent, ParsedHint, Quantity, Sign, hint_to_json, parse_hint

NOT_UNDERSTOOD_EXIT_CODE = 3

app = typer.Typer(no_args_is_help=True)


@app.callback()
def hints() -> None:
    """Natural-language hints (annotation `moorage.dev/hint`, `spec.hints` of a pool)."""


@app.command("parse")
def parse(
    text: Annotated[str, typer.Argument(help="The hint, in plain English; - reads it from stdin.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as in statuses.")] = False,
) -> None:
    """Show the intents of a hint and what was not understood."""
    hint = parse_hint(sys.stdin.buffer.read() if text == "-" else text)
    if as_json:
        typer.echo(json.dumps(hint_to_json(hint), indent=2, ensure_ascii=False))
    else:
        _show(hint, Console())
    if hint.refusal is not None:
        raise typer.Exit(NOT_UNDERSTOOD_EXIT_CODE)


def _show(hint: ParsedHint, console: Console) -> None:
    if hint.refusal is not None:
        console.print(f"refused: {hint.refusal}; the hint changes nothing")
        return
    if hint.intents:
        console.print(_table(hint))
    else:
        console.print("no intent found; the hint changes nothing")
    for phrase in hint.not_understood:
        console.print(f"not understood: {phrase}", markup=False)


def _table(hint: ParsedHint) -> Table:
    table = Table(*("class", "wish", "target", "quantity", "per", "weight"))
    for intent in hint.intents:
        wish = "avoid" if intent.sign is Sign.AVOID else "prefer"
        target, amount = intent.target or "", _amount(intent.quantity)
        table.add_row(intent.kind, wish, target, amount, _domain(intent), intent.weight)
    return table


def _domain(intent: Intent) -> str:
    return intent.topology_key if intent.kind in {"CoLocation", "AntiAffinity", "Spread"} else ""


def _amount(quantity: Quantity | None) -> str:
    if quantity is None:
        return ""
    bound = "" if quantity.value is None else f" {quantity.value:g} {quantity.unit}"
    return f"{quantity.measure.lower()} {quantity.resource} {quantity.op}{bound}"
