"""`moorage plan --file`: the same snapshot gives the same answer, in words and as a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from moorage_cli.plan.command import app
from moorage_cli.plan.picture import cells_of
from moorage_crds.plan import PlacementPlan
from moorage_crds.snapshot_file import PlannerSnapshot, encode
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.plans import Move
from moorage_policies.testing import make_node, make_pod
from moorage_policies.types import Owner, Pod

OURS = "moorage-scheduler"


def running(name: str, node: str) -> Pod:
    owner = Owner("ReplicaSet", name, name)
    return make_pod(
        name, gpus=2, node=node, scheduler=OURS, phase="Running", ready=True, owner=owner
    )


PODS = (
    running("p", "a"),
    running("q", "b"),
    make_pod("w", gpus=4, scheduler=OURS, unschedulable=True),
)
FACTS = Facts(
    1.0,
    7,
    (make_node("a", gpus=4), make_node("b", gpus=4)),
    PODS,
    migrations={"pod-default-p": "SurgeFirst", "pod-default-q": "SurgeFirst"},
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "snapshot.json"
    path.write_bytes(encode(PlannerSnapshot(FACTS, PlanningParams(work_s=0.2))))
    return path


def test_a_plan_is_reproduced_from_its_snapshot_and_is_valid(file: Path) -> None:
    outputs = [CliRunner().invoke(app, ["--file", str(file), "--json"]) for _ in range(2)]
    assert outputs[0].output == outputs[1].output
    body = json.loads(outputs[0].output)
    assert body["verdict"] == "Optimal"
    [plan] = body["plans"]
    moves = PlacementPlan.read(plan).spec.moves
    assert [move.kind for move in moves] == ["Move", "Place"]


def test_people_get_verdict_moves_and_picture(file: Path) -> None:
    output = CliRunner().invoke(app, ["--file", str(file)]).output
    for part in ("optimal", "default/w", "Planned", "Move (SurgeFirst)", "▒", "▓", "·"):
        assert part in output


def test_without_options_the_sub_commands_are_shown() -> None:
    result = CliRunner().invoke(app, [])
    assert "approve" in result.output


def test_a_file_that_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}")
    result = CliRunner().invoke(app, ["--file", str(path)])
    assert result.exit_code != 0
    assert "version" in str(result.exception)


def test_cells_show_who_stays_goes_and_comes() -> None:
    moves = (
        Move(0, 0, "Move", "pod-default-p", "default", "p", source="a", target="b"),
        Move(1, 1, "Place", "pod-default-w", "default", "w", target="a"),
    )
    assert cells_of("a", 4, FACTS, moves) == ("▒▒··", "▓▓▓▓")
    assert cells_of("b", 4, FACTS, moves) == ("██··", "██▓▓")
    assert cells_of("b", 64, FACTS, moves) == ("2 of 64", "4 of 64")
