from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_benchmarks import fragmentation
from moorage_benchmarks.fragmentation import draw
from moorage_benchmarks.fragmentation_bound import bound_milli
from moorage_benchmarks.fragmentation_peers import PEERS, _fragments, replay
from moorage_benchmarks.fragmentation_trace import Trace, read_trace
from moorage_benchmarks.report import OURS, Row
from moorage_policies.errors import BadInputError

NODES = "sn,cpu_milli,memory_mib,gpu,model\nn0,16000,64000,2,T4\nn1,32000,64000,4,G2\n"
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n"
POD_LINES = "a,2000,1000,1,500,\nb,2000,1000,1,1000,T4|G2\nc,1000,100,0,0,\nd,8000,900,2,1000,G2\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    nodes, pods = tmp_path / "nodes.csv", tmp_path / "openb_pod_list_mine.csv.gz"
    nodes.write_text(NODES)
    with gzip.open(pods, "wt") as text:
        text.write(PODS + POD_LINES)
    return nodes, pods


@pytest.fixture
def trace(files: tuple[Path, Path]) -> Trace:
    return read_trace(*files)


def test_lists_are_read_as_they_are_published(trace: Trace) -> None:
    assert trace.name == "mine"
    assert trace.capacity_milli == 6000
    assert trace.nodes.milli.tolist() == [[1000, 1000, 0, 0], [1000] * 4]
    assert [s.classes for s in trace.shapes] == [None, {"T4", "G2"}, None, {"G2"}]
    assert trace.gpus_milli.tolist() == [500, 1000, 0, 2000]


@pytest.mark.parametrize("percent", [20, 58, 130])
def test_streams_ask_for_the_wanted_share_and_no_more(trace: Trace, percent: float) -> None:
    stream = trace.arrivals(percent, 7)
    asked = trace.gpus_milli[stream].sum()
    assert percent * 60 - 2000 < asked <= percent * 60
    assert (stream == trace.arrivals(percent, 7)).all()


@pytest.mark.parametrize(
    ("nodes", "pods", "named"),
    [
        pytest.param(NODES.replace("memory_mib", "mem"), PODS, "memory_mib", id="no-column"),
        pytest.param(NODES, PODS + "a,2000,1000,x,500,\n", "num_gpu", id="no-number"),
        pytest.param(NODES, PODS + "a,2000,-1,1,500,\n", "memory_mib", id="negative"),
        pytest.param(NODES, PODS + "a,1,1,2,500,\n", "gpu_milli", id="two-shared-devices"),
        pytest.param(NODES, PODS + "a,1,1,1,2000,\n", "gpu_milli", id="more-than-a-device"),
        pytest.param(NODES, PODS + "a,1,1\n", "num_gpu", id="short-line"),
        pytest.param(NODES, PODS + "c,1000,100,0,0,\n", "no pod asks", id="no-gpu-pod"),
        pytest.param(NODES.splitlines()[0], PODS + POD_LINES, "no node", id="no-node"),
        pytest.param("sn,cpu_milli,memory_mib,gpu,model\nn,1,1,0,\n", PODS + POD_LINES,
                     "no node has a GPU", id="no-gpu-node"),
        pytest.param("\0", PODS, "cpu_milli", id="garbage"),
    ],
)  # fmt: skip
def test_unusable_lists_are_refused_by_place(
    tmp_path: Path, nodes: str, pods: str, named: str
) -> None:
    node_file, pod_file = tmp_path / "n.csv", tmp_path / "p.csv"
    node_file.write_text(nodes)
    pod_file.write_text(pods)
    with pytest.raises(BadInputError, match=named):
        read_trace(node_file, pod_file)


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "n.csv.gz"
    broken.write_bytes(b"\x1f\x8b no archive")
    with pytest.raises(BadInputError, match="cannot be read"):
        read_trace(broken, broken)


levels = st.lists(st.sampled_from([0, 190, 500, 1000]), min_size=4, max_size=4)


@given(cpu=st.integers(0, 9), milli=levels)
@settings(max_examples=40, deadline=None)
def test_fragments_are_counted_as_fgd_defines_them(cpu: int, milli: list[int]) -> None:
    typical = np.array([[4, 0, 1, 500], [2, 0, 2, 1000], [1, 0, 0, 1000]])
    accepted = np.array([[True], [True], [True]])
    expected = 0.0
    for needs, _, devices, size in typical.tolist():
        able = [left for left in milli if left >= size]
        if devices == 0 or needs > cpu or len(able) < devices:
            expected += sum(milli) / 3  # nothing that is free is of use to it
        else:
            expected += sum(left for left in milli if left < size) / 3
    share = np.full(3, 1 / 3)
    found = _fragments(cpu, np.array(milli), 0, typical, accepted, share)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_no_arm_gives_away_more_than_there_is(trace: Trace, peer: object) -> None:
    stream = trace.arrivals(300, 3)
    placed = replay(trace, stream, peer, 3)  # type: ignore[arg-type]
    got = trace.gpus_milli[stream][placed].sum()
    assert 0 < got <= min(trace.capacity_milli, bound_milli(trace, stream) + 1e-6)


def test_given_files_are_measured_with_all_arms(files: tuple[Path, Path]) -> None:
    nodes, pods = files
    rows = fragmentation.run(nodes=nodes, pods=[pods], seeds=2)
    assert {row.case for row in rows} == {"mine"}
    values = {(row.arm, row.metric): row.value for row in rows}
    arms = {peer.name for peer in PEERS} | {"moorage", "offline-sorted", "offline-bound"}
    assert {arm for arm, _ in values} == arms
    for arm in arms:
        assert values["offline-bound", "unalloc_pct"] <= values[arm, "unalloc_pct"] + 1e-9 <= 100
    # in percent of six devices, the least that a pod asks for is 500 of 6000
    ratio = values["moorage", "unalloc_pct"] / max(values["fgd", "unalloc_pct"], 1e-9)
    assert values["moorage", "to_fgd"] == pytest.approx(ratio) or not values["fgd", "unalloc_pct"]


def test_a_plot_shows_every_list_and_arm(tmp_path: Path) -> None:
    arms = ("fgd", OURS, "fgd (published)")
    rows = [
        Row("fragmentation", case, arm, "unalloc_pct", 4.0, "%", 1)
        for case in ("default", "mean")
        for arm in arms
    ]
    draw(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
