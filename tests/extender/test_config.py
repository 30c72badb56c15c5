from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import CliApp

from moorage_extender.config import Settings
from moorage_extender.server import open_socket
from moorage_policies.errors import BadInputError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"host": "10.0.0.1"}, "not loopback", id="open-verbs-without-tls"),
        pytest.param({"host": "localhost"}, "no IP address", id="a-name-for-an-address"),
        pytest.param({"tls_key_file": "key.pem"}, "give all of", id="half-of-tls"),
        pytest.param({"tls_client_names": ["a"]}, "three tls files", id="names-without-tls"),
        pytest.param({"weights": {"luck": 1}}, "no scorer 'luck'", id="unknown-scorer"),
        pytest.param({"weights": {"fragmentation": -1}}, "from 0 up", id="negative-weight"),
        pytest.param({"accelerators": []}, "at least one", id="no-accelerator"),
        pytest.param({"ranking_form": "best"}, "top-node", id="unknown-form"),
        pytest.param({"port": 70000}, "65535", id="no-such-port"),
        pytest.param({"verb_deadline_s": 0}, "greater than 0", id="no-time"),
        pytest.param({"colour": "blue"}, "not permitted", id="unknown-setting"),
    ],
)
def test_bad_settings_say_what_to_write(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Settings(**given)  # type: ignore[arg-type]


def test_flag_beats_environment_beats_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("port: 1\nhealth_port: 1\nweights: {fragmentation: 2}\ndrain_s: 0\n")
    monkeypatch.setenv("MOORAGE_EXTENDER_CONFIG_FILE", str(file))
    monkeypatch.setenv("MOORAGE_EXTENDER_HEALTH_PORT", "2")
    monkeypatch.setenv("MOORAGE_EXTENDER_PORT", "2")
    settings = CliApp.run(Settings, cli_args=["--port", "3"])
    assert (settings.port, settings.health_port, settings.drain_s) == (3, 2, 0)
    assert settings.weights == {"fragmentation": 2}
    assert settings.ranking_params().weights == {"fragmentation": 2}


def test_the_file_may_be_named_by_a_flag(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("port: 7\n")
    assert CliApp.run(Settings, cli_args=["--config-file", str(file)]).port == 7


def test_every_field_is_documented() -> None:
    missing = [name for name, field in Settings.model_fields.items() if not field.description]
    assert missing == []


def test_a_port_that_is_taken_is_named() -> None:
    with open_socket("127.0.0.1", 0, "port") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadInputError, match=f"port {port}") as caught:
            open_socket("127.0.0.1", port, "port")
    assert caught.value.field == "port"
