"""The demo: the story holds on the simulator and live, and the view tells the truth."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from moorage_cli.demo import story
from moorage_cli.demo.command import app
from moorage_cli.demo.simulated import tell_simulated
from moorage_cli.demo.table import render
from moorage_cli.demo.view import Berth, View, to_view
from moorage_crds.pool import GPUInferencePool

MOORAGE = Path(sys.executable).with_name("moorage")


def test_the_simulated_story_holds() -> None:
    checks = tell_simulated(Console(quiet=True))
    assert len(checks) == len(story.CHAPTERS) + 2
    assert [check.what for check in checks if not check.holds] == []


def test_simulated_command_prints_a_summary_and_succeeds() -> None:
    done = CliRunner().invoke(app, ["--simulate"])
    assert done.exit_code == 0
    assert "Summary" in done.stdout


@pytest.mark.parametrize("pool", [story.BATCH, story.CHAT, story.GIANT], ids=lambda pool: pool.name)
def test_the_pools_are_valid_manifests(pool: story.PoolSpec) -> None:
    read = GPUInferencePool.read(pool.to_manifest())
    assert sum(role.replicas for role in read.spec.roles) == pool.replicas


def test_a_story_that_stops_short_is_told_so() -> None:
    nothing = View.of([], [])
    assert not any(check.holds for check in story.check([nothing] * len(story.CHAPTERS)))


def pod(name: str, *, node: str = "", message: str = "") -> dict[str, object]:
    conditions = [{"type": "PodScheduled", "status": "False", "message": message}]
    limits = {"nvidia.com/gpu": "4"}
    return {
        "metadata": {"name": name, "labels": {"moorage.dev/pool": "chat"}},
        "spec": {"containers": [{"resources": {"limits": limits}}], "nodeName": node},
        "status": {"conditions": conditions if message else []},
    }


NODE = {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z"}}}


@pytest.mark.parametrize(
    ("seen", "reasons", "why", "zone"),
    [
        pytest.param(pod("p", node="n1"), {"p": "ranked first"}, "ranked first", "z", id="placed"),
        pytest.param(pod("p", message="no room"), {"p": "old"}, "no room", "", id="waits"),
        pytest.param(pod("p"), {}, "not tried yet", "", id="new"),
    ],
)
def test_a_pod_is_shown_with_its_reason(
    seen: dict[str, object], reasons: dict[str, str], why: str, zone: str
) -> None:
    [berth] = to_view([seen], [NODE], [], reasons).berths
    assert (berth.why, berth.zone, berth.gpus) == (why, zone, 4)


def test_a_pod_that_is_being_deleted_holds_no_berth() -> None:
    leaving = pod("p", node="n1")
    assert isinstance(leaving["metadata"], dict)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert to_view([leaving], [NODE], [], {}).berths == ()


def test_the_picture_shows_every_gpu_once() -> None:
    [first, *_] = specs = story.make_nodes()
    berth = Berth(pod="p", pool="chat", role="r", accelerator="a", gpus=3, node=first.name)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render(View.of([berth], []), specs, "title"))
    text = console.export_text()
    assert "CCC·····" in text
    assert text.count("·") == sum(spec.gpus for spec in specs) - 3 + 1  # and one in the legend


@pytest.mark.control_plane
def test_the_live_demo_holds_and_leaves_nothing_behind() -> None:
    done = subprocess.run(
        [MOORAGE, "demo"], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "did not hold" not in done.stdout
    assert "were bound by our bind verb" in done.stdout
