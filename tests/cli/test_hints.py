from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from moorage_cli.hints import NOT_UNDERSTOOD_EXIT_CODE, app

runner = CliRunner()


def test_shows_intents_and_what_was_not_understood() -> None:
    result = runner.invoke(app, ["parse", "ideally near redis and 3 GB of CPU, avoid spot"])
    assert result.exit_code == 0
    for shown in ("Network", "redis", "Low", "NodeLabel", "avoid", "spot"):
        assert shown in result.stdout
    assert "not understood: 3 gb of cpu" in result.stdout


def test_prints_the_json_of_statuses() -> None:
    result = runner.invoke(app, ["parse", "--json", "at least 24 GB VRAM"])
    assert json.loads(result.stdout) == {
        "version": 1,
        "intents": [
            {
                "class": "Quantity",
                "quantity": {"resource": "gpu-memory", "op": ">=", "value": 24, "unit": "GB"},
            }
        ],
    }


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        pytest.param(b"bitte nicht auf Spot-Knoten", "NotEnglish", id="other-language"),
        pytest.param(b"H100 " * 250_000, "TooLong", id="a-megabyte"),
        pytest.param(b"H100 \xff", "NotText", id="not-utf-8"),
    ],
)
def test_a_refusal_is_said_and_told_by_the_exit_code(text: bytes, refusal: str) -> None:
    result = runner.invoke(app, ["parse", "-"], input=text)
    assert result.exit_code == NOT_UNDERSTOOD_EXIT_CODE
    assert f"refused: {refusal}" in result.stdout


def test_nothing_to_read_changes_nothing() -> None:
    result = runner.invoke(app, ["parse", "hello world"])
    assert result.exit_code == 0
    assert "no intent found" in result.stdout
