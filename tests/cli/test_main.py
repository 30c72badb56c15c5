from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from moorage_cli import main
from moorage_policies.errors import BadInputError, UnavailableError


def test_overview_names_every_command_without_importing_any() -> None:
    program = (
        "import sys; from typer.testing import CliRunner; from moorage_cli import main\n"
        "result = CliRunner().invoke(main.app, ['--help'])\n"
        "import json; print(json.dumps([result.exit_code, result.output, sorted(sys.modules)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    exit_code, output, modules = json.loads(done.stdout)
    assert exit_code == 0
    assert all(name in output for name in main.SUB_COMMANDS)
    imported = {module.split(".")[0] for module in modules}
    assert imported.isdisjoint({"numpy", "cryptography", "urllib3", "aiohttp", "ortools"})


@pytest.mark.parametrize("name", main.SUB_COMMANDS)
def test_every_command_in_the_table_can_be_imported(name: str) -> None:
    result = CliRunner().invoke(main.app, [name, "--help"])
    assert result.exit_code == 0, result.output


def test_an_unknown_command_is_refused() -> None:
    result = CliRunner().invoke(main.app, ["no-such-command"])
    assert (result.exit_code, "No such command" in result.output) == (2, True)


def test_version_is_that_of_the_distribution() -> None:
    assert CliRunner().invoke(main.app, ["--version"]).output.startswith("moorage 0.")


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        pytest.param(BadInputError("is wrong", field="spec.x"), 2, id="bad-input"),
        pytest.param(UnavailableError("nobody there"), 1, id="unavailable"),
    ],
)
def test_foreseen_errors_are_one_message(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    exit_code: int,
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as ended:
        main.run()
    assert ended.value.code == exit_code
    assert capsys.readouterr().err == f"error: {error}\n"
