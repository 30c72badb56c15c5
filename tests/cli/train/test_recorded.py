from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from moorage_cli.train.network import app
from moorage_cli.train.recorded import read_recorded, write_recorded
from moorage_policies.errors import BadInputError
from moorage_policies.network.document import digest, read
from moorage_policies.network.runs import Trial
from moorage_policies.network.simulator import Noise, simulate
from moorage_policies.network.worlds import shaped_sites

TELEMETRY = """time_s,node,peer,rtt_ms,mbps,cpu_ratio,topology
90,a,b,1.0,1000,,
95,a,b,4.0,4000,,
95,b,a,2.0,,,
95,a,,,,0.25,eu/rack-1
95,b,,,,0.5,eu/rack-2
"""
RUNS = """decision,time_s,workload,node,peers,receive_mib,compute_s,duration_s
7,100,load,a,b,10,1,3.5
7,100,load,b,b,10,1,2.5
"""


def _write(folder: Path, telemetry: str = TELEMETRY, runs: str = RUNS) -> tuple[Path, Path]:
    (folder / "telemetry.csv").write_text(telemetry)
    (folder / "runs.csv").write_text(runs)
    return folder / "telemetry.csv", folder / "runs.csv"


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    chance = np.random.default_rng(4)
    return simulate(chance, shaped_sites(chance, 5, 24), Noise())


def test_samples_of_the_window_become_newest_and_usual_readings(tmp_path: Path) -> None:
    (trial,) = read_recorded(*_write(tmp_path)).trials
    view = trial.view
    assert view.nodes == ("a", "b")
    assert view.rtt_ms[0, 1] == 4.0
    assert view.usual_rtt_ms[0, 1] == pytest.approx(2.0)  # geometric mean of 1 and 4
    assert view.mbps[0, 1] == 4000
    assert np.isnan(view.mbps[1, 0])
    assert view.cpu_ratio.tolist() == [0.25, 0.5]
    assert view.age_s.tolist() == [5, 5]
    assert view.places[0, 0] == view.places[1, 0]
    assert view.places[0, 1] != view.places[1, 1]
    assert trial.duration_s.tolist() == [3.5, 2.5]
    assert trial.job.peers.tolist() == [1]


def test_samples_that_come_later_are_not_known_yet(tmp_path: Path) -> None:
    late = TELEMETRY.replace("95,", "101,")
    (trial,) = read_recorded(*_write(tmp_path, late)).trials
    assert trial.view.rtt_ms[0, 1] == 1.0
    assert trial.view.age_s[1] == np.inf


def test_what_is_written_is_read_back(tmp_path: Path, trials: list[Trial]) -> None:
    files = tmp_path / "telemetry.csv", tmp_path / "runs.csv"
    write_recorded(trials, *files)
    again = read_recorded(*files).trials
    assert len(again) == len(trials)
    for before, after in zip(trials, again, strict=True):
        apart = ~np.eye(5, dtype=bool)
        for name in ("rtt_ms", "usual_rtt_ms", "mbps", "usual_mbps"):
            left, right = getattr(before.view, name)[apart], getattr(after.view, name)[apart]
            np.testing.assert_allclose(right, left, rtol=1e-4)
        np.testing.assert_allclose(after.duration_s, before.duration_s, rtol=1e-4)
        np.testing.assert_array_equal(after.job.peers, before.job.peers)
        assert after.condition == before.condition


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    from pyarrow import csv, parquet

    files = _write(tmp_path)
    for file in files:
        parquet.write_table(csv.read_csv(file), file.with_suffix(".parquet"))
    (left,) = read_recorded(*files).trials
    (right,) = read_recorded(*(file.with_suffix(".parquet") for file in files)).trials
    np.testing.assert_array_equal(left.view.rtt_ms, right.view.rtt_ms)
    np.testing.assert_array_equal(left.duration_s, right.duration_s)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param("a,b,4.0", "a,b,-4.0", "impossible rtt_ms", id="negative"),
        pytest.param("a,b,4.0", "a,b,1e9", "impossible rtt_ms", id="beyond-reason"),
        pytest.param(",0.25,", ",7,", "impossible cpu_ratio", id="busier-than-busy"),
    ],
)
def test_impossible_readings_are_left_out_and_counted(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    recorded = read_recorded(*_write(tmp_path, TELEMETRY.replace(old, new)))
    assert recorded.ignored == {reason: 1}
    assert len(recorded.trials) == 1


@pytest.mark.parametrize(
    ("telemetry", "runs", "message"),
    [
        pytest.param(TELEMETRY.replace("4.0", "soon"), RUNS, "line 3, rtt_ms", id="text"),
        pytest.param(TELEMETRY.replace("95,a,b", "x,a,b"), RUNS, "line 3, time_s", id="no-time"),
        pytest.param(TELEMETRY.replace("rtt_ms", "ping"), RUNS, "'rtt_ms'", id="no-column"),
        pytest.param(TELEMETRY.replace("95,a,,", "95,,,"), RUNS, "line 5, node", id="no-node"),
        pytest.param(TELEMETRY + "1,2\n", RUNS, "line 7", id="a-short-row"),
        pytest.param("time_s,node,peer,rtt_ms\n", RUNS, "no rows", id="empty"),
        pytest.param(TELEMETRY, RUNS.replace("3.5", "0"), "line 2, duration_s", id="no-duration"),
        pytest.param(TELEMETRY, RUNS.replace("3.5", ""), "line 2, duration_s", id="no-end"),
        pytest.param("\0\xff", RUNS, "telemetry", id="no-table"),
    ],
)
def test_malformed_files_are_refused_with_the_place(
    tmp_path: Path, telemetry: str, runs: str, message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        read_recorded(*_write(tmp_path, telemetry, runs))


def test_a_training_ends_in_a_model_a_report_and_plots(tmp_path: Path, trials: list[Trial]) -> None:
    write_recorded(trials, tmp_path / "t.csv", tmp_path / "r.csv")
    given = ["--telemetry", str(tmp_path / "t.csv"), "--runs", str(tmp_path / "r.csv")]
    chosen = ["--family", "costs", "--family", "nearest-rtt", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*given, *chosen])
    assert result.exit_code == 0, result.output
    data = (tmp_path / "out" / "model.json").read_bytes()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["digest"] == digest(data)
    assert read(data, expected_digest=report["digest"]).family == report["family"] == "costs"
    assert report["arms"]["costs"]["meanSlowdown"] < report["arms"]["stock"]["meanSlowdown"]
    assert {"nearest-rtt", "topology", "least-loaded"} < set(report["arms"])
    assert (tmp_path / "out" / "report.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--telemetry", "only.csv"], id="one-file-of-two"),
        pytest.param(["--family", "magic", "--quick"], id="an-unknown-family"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path)])
    assert isinstance(result.exception, BadInputError)
