from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from moorage_cli.control_plane import ControlPlane, ExtenderConfig, SchedulerConfig
from moorage_cli.control_plane.scheduler_config import render_scheduler_config
from moorage_policies.errors import BadInputError

EXTENDER = ExtenderConfig("http://127.0.0.1:9", bind_verb="", weight=5, ignorable=False)


def rendered(config: SchedulerConfig) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(render_scheduler_config(config, Path("kubeconfig")))
    return content


def test_defaults_name_one_profile_and_no_extender() -> None:
    content = rendered(SchedulerConfig())
    assert content["profiles"] == [{"schedulerName": "moorage-scheduler"}]
    assert "extenders" not in content
    assert content["percentageOfNodesToScore"] == 100
    assert content["clientConnection"] == {"kubeconfig": "kubeconfig", "qps": 1000, "burst": 2000}


def test_extender_is_written_as_kube_scheduler_reads_it() -> None:
    (extender,) = rendered(SchedulerConfig(extenders=(EXTENDER,)))["extenders"]
    assert extender == {
        "urlPrefix": "http://127.0.0.1:9",
        "filterVerb": "filter",
        "prioritizeVerb": "prioritize",
        "preemptVerb": "preempt",
        "weight": 5,
        "httpTimeout": "2000ms",
        "nodeCacheCapable": True,
        "ignorable": False,
        "managedResources": [{"name": "nvidia.com/gpu", "ignoredByScheduler": False}],
    }


def test_tls_settings_switch_https_on() -> None:
    extender = ExtenderConfig("https://127.0.0.1:9", tls={"caFile": "ca.crt"})
    (content,) = rendered(SchedulerConfig(extenders=(extender,)))["extenders"]
    assert (content["enableHTTPS"], content["tlsConfig"]) == (True, {"caFile": "ca.crt"})


def test_every_profile_gets_the_plugin_settings() -> None:
    setting = {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated"}}}
    content = rendered(SchedulerConfig(("one", "two"), plugin_config=(setting,)))
    assert content["profiles"] == [
        {"schedulerName": name, "pluginConfig": [setting]} for name in ("one", "two")
    ]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        pytest.param({"scheduler_names": ()}, "scheduler_names", id="no-profile"),
        pytest.param({"nodes_to_score_percent": 101}, "nodes_to_score_percent", id="percent"),
    ],
)
def test_bad_settings_name_their_field(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInputError, match=f"^{field}: "):
        SchedulerConfig(**arguments)


def test_a_weight_below_one_is_refused_where_scores_are_asked_for() -> None:
    with pytest.raises(BadInputError, match=r"^weight: "):
        ExtenderConfig("http://127.0.0.1:9", weight=0)
    assert ExtenderConfig("http://127.0.0.1:9", weight=0, prioritize_verb="").weight == 0


def test_kube_scheduler_takes_every_setting(control_plane: ControlPlane) -> None:
    setting = {
        "name": "NodeResourcesFit",
        "args": {
            "scoringStrategy": {
                "type": "MostAllocated",
                "resources": [{"name": "nvidia.com/gpu", "weight": 1}],
            }
        },
    }
    plugins = {"score": {"disabled": [{"name": "ImageLocality"}]}}
    config = SchedulerConfig(
        ("first", "second"),
        (EXTENDER, ExtenderConfig("http://127.0.0.1:10", managed_resources=("example.com/other",))),
        plugin_config=(setting,),
        plugins=plugins,
        leader_election=False,
    )
    control_plane.start_scheduler(config, name="settings")
    assert control_plane.api.raw("GET", "/readyz") == b"ok"
    control_plane.stop_scheduler("settings")
