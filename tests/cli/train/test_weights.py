from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from moorage_cli.train.lists import ListedPod, read_nodes, read_pods
from moorage_cli.train.weights import app
from moorage_crds.policy import PolicySpec
from moorage_policies.errors import BadInputError

NODES = "cpu_milli,memory_mib,gpu,model,count\n96000,400000,8,A,6\n32000,100000,2,B,10\n"
HEADER = "cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec"
SIZES = (1, 8, 1, 2, 1, 4, 2, 1)


def _pods(count: int, *, timed: bool) -> str:
    lines = [HEADER + (",creation_time,deletion_time" if timed else "")]
    for at in range(count):
        size = SIZES[at % len(SIZES)]
        spec = "A|B" if at % 3 == 0 else ("A" if at % 5 == 0 else "")
        times = f",{at * 3600},{at * 3600 + 60}" if timed else ""
        lines.append(f"{1000 * size},2000,{size},1000,{spec}{times}")
    return "\n".join(lines) + "\n"


def _write(folder: Path, pods: str, nodes: str = NODES) -> list[str]:
    (folder / "nodes.csv").write_text(nodes)
    (folder / "pods.csv").write_text(pods)
    files = ["--trace", str(folder / "pods.csv"), "--nodes", str(folder / "nodes.csv")]
    return [*files, "--out", str(folder / "out"), "--solve-s", "0.05"]


@pytest.mark.parametrize("timed", [True, False])
def test_a_recording_becomes_a_policy_and_a_report(tmp_path: Path, timed: bool) -> None:
    asked = _write(tmp_path, _pods(100, timed=timed))
    result = CliRunner().invoke(app, [*asked, "--parts", "4", "--held-out-percent", "25"])
    assert result.exit_code == 0, result.output
    document = yaml.safe_load((tmp_path / "out" / "policy.yaml").read_text())
    spec = PolicySpec.model_validate(document["spec"])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {scorer.name: scorer.weight for scorer in spec.scorers} == report["weights"]
    assert sum(day["heldOut"] for day in report["days"]) == report["daysHeldOut"] == 1
    for day in report["days"]:
        served = day["gpusServed"]
        assert (
            max(served.values()) == served["hindsight"] <= min(day["gpusOffered"], day["gpusAsked"])
        )
    assert (tmp_path / "out" / "report.png").stat().st_size > 10_000
    assert "hindsight" in result.output


def test_times_of_some_pods_only_are_refused(tmp_path: Path) -> None:
    pods = _pods(30, timed=True).replace(",3600,3660", ",,")
    result = CliRunner().invoke(app, _write(tmp_path, pods))
    assert isinstance(result.exception, BadInputError)
    assert "creation_time" in str(result.exception)


def test_lists_tell_times_models_in_order_and_counts(tmp_path: Path) -> None:
    file = tmp_path / "pods.csv"
    line = "1,2,1,500,B|A|B,7,9,3\n1,2,0,0,A,8,,1\n"
    file.write_text(f"{HEADER},creation_time,deletion_time,count\n{line}")
    assert read_pods(file) == [
        (ListedPod(1, 2, 1, 500, ("B", "A"), 7, 9.0), 3),
        (ListedPod(1, 2, 0, 1000, (), 8, float("inf")), 1),
    ]
    file.write_text(f"{HEADER},creation_time,deletion_time\n1,2,1,500,,9,7\n")
    with pytest.raises(BadInputError, match="before creation_time"):
        read_pods(file)


def test_nodes_without_gpus_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "nodes.csv"
    file.write_text("cpu_milli,memory_mib,gpu,model\n1,1,0,\n")
    with pytest.raises(BadInputError, match="no node has a GPU"):
        read_nodes(file)
