"""Settings of a door: from flags and environment, every mistake is told and nothing is ignored."""

from __future__ import annotations

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from moorage_cluster.settings import load_settings
from moorage_policies.errors import BadInputError


class DoorSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MOORAGE_TEST_", extra="forbid")

    port: int = Field(default=1, ge=0, le=65_535)
    weights: dict[str, float] = Field(default_factory=dict)


def load(*arguments: str, **environment: str) -> DoorSettings:
    return load_settings(DoorSettings, arguments=arguments, environment=environment)


def test_flags_are_read() -> None:
    assert load("--port", "7").port == 7


@pytest.mark.parametrize("name", ["MOORAGE_TEST_PROT", "moorage_test_verbs"])
def test_a_misspelt_variable_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadInputError, match=rf"{name}.*MOORAGE_TEST_PORT"):
        load(**{name: "1"})


@pytest.mark.parametrize("name", ["MOORAGE_TEST_PORT", "moorage_test_port", "MOORAGE_OTHER"])
def test_a_known_or_foreign_variable_passes(name: str) -> None:
    assert load(**{name: "2"}).port == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--port", "70000"], "port: .*65535", id="out-of-range"),
        pytest.param(["--port", "x"], "port: ", id="not-a-number"),
        pytest.param(["--weights", "nan"], "weights", id="not-json"),
    ],
)
def test_a_bad_value_is_told_with_its_field(arguments: list[str], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        load(*arguments)


def test_an_unknown_flag_ends_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load("--nonsense", "1")
    assert ended.value.code == 2
    assert "nonsense" in capsys.readouterr().err
