"""What the chart takes from the code is what the code says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic_settings import BaseSettings

from moorage_cli.chart.documents import values_yaml
from moorage_cli.chart.helm import Helm
from moorage_cli.chart.render import chart_files, golden_files, main, stale
from moorage_cli.chart.rights import accounts_text, rights
from moorage_cli.chart.settings import ExtenderSettings, OperatorSettings, ProbeSettings
from moorage_cli.chart.values import Values
from moorage_extender.config import Settings
from moorage_extender.probe.settings import ProbeSettings as ProbeConfig
from moorage_operator.config import OperatorConfig


def test_the_chart_is_up_to_date(root: Path) -> None:
    assert stale(chart_files(), root) == []


def test_the_rendered_examples_are_up_to_date(helm: Helm, root: Path) -> None:
    assert stale(golden_files(helm, root), root) == []


def test_helm_finds_nothing_to_complain_about(helm: Helm, root: Path) -> None:
    for case in (root / "tests/charts/cases").iterdir():
        assert "0 chart(s) failed" in helm.lint(case)


def test_the_chart_ships_the_same_bytes_of_each_custom_resource(root: Path) -> None:
    ours = {path.name: path.read_bytes() for path in (root / "crds").glob("*.yaml")}
    shipped = root / "charts/moorage/files/crds"
    assert ours == {path.name: path.read_bytes() for path in shipped.iterdir()}
    assert len(ours) == 4


def test_a_stale_file_is_named_and_then_written(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0
    spoiled = tmp_path / "charts/moorage/values.schema.json"
    spoiled.write_text("{}")
    assert main([str(tmp_path), "--check"]) == 1
    assert "charts/moorage/values.schema.json is stale; run `make chart`" in capsys.readouterr().err
    assert spoiled.read_text() == "{}"
    assert main([str(tmp_path)]) == 0
    assert spoiled.read_text() == (root / "charts/moorage/values.schema.json").read_text()


def test_values_yaml_holds_the_models_defaults() -> None:
    written = yaml.safe_load(values_yaml())
    assert Values.model_validate(written) == Values()
    assert written == Values().model_dump(by_alias=True, exclude_none=True)


def test_every_value_has_a_comment() -> None:
    def walk(model: type[BaseModel]) -> None:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            if isinstance(field.default, BaseModel):
                walk(type(field.default))

    walk(Values)


SET_BY_THE_CHART = {
    Settings: {
        "config_file", "kubeconfig", "host", "port", "health_host", "health_port",
        "tls_certificate_file", "tls_key_file", "tls_client_ca_file", "tls_client_names",
        "planner", "planner_lease", "solver_socket", "bell_namespace",
        "network_mode", "network_model_file", "network_model_digest", "network_probes",
    },
    ProbeConfig: {"node", "peers", "host", "port", "echo_port"},
    OperatorConfig: {
        "kubeconfig", "lease_namespace", "lease_name", "listen_host", "listen_port", "log_format",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "program"),
    [
        (ExtenderSettings, Settings),
        (OperatorSettings, OperatorConfig),
        (ProbeSettings, ProbeConfig),
    ],
)
def test_the_chart_offers_the_settings_that_the_program_has(
    ours: type[BaseModel], program: type[BaseSettings]
) -> None:
    assert set(ours.model_fields) == set(program.model_fields) - SET_BY_THE_CHART[program]
    theirs = _shapes(program)
    assert {name: theirs[name] for name in _shapes(ours)} == _shapes(ours)


def _shapes(model: type[BaseModel]) -> dict[str, Any]:
    """Type and bounds of each field, ``null`` and order aside."""
    properties = model.model_json_schema(by_alias=False)["properties"]
    return {name: _shape(schema) for name, schema in properties.items()}


def _shape(schema: dict[str, Any]) -> dict[str, Any]:
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    kept = options[0] if options else schema
    noise = ("title", "description", "default", "uniqueItems")
    return {key: value for key, value in kept.items() if key not in noise}


def test_every_right_has_a_reason() -> None:
    assert len(rights()) == sum(
        len(manifest.get("rules", ())) for manifest in yaml.safe_load_all(accounts_text())
    )
    assert all(right.reason.endswith(".") for right in rights()), rights()


def test_no_right_is_a_wildcard_or_reads_secrets() -> None:
    for right in rights():
        assert "*" not in (*right.groups, *right.resources, *right.verbs)
        assert "secrets" not in right.resources
        assert not {"escalate", "bind", "impersonate"} & set(right.verbs)
