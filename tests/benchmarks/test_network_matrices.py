from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moorage_benchmarks.network_matrices import BUNDLED, join_later, read_networks
from moorage_policies.errors import BadInputError


def test_the_bundled_networks_are_read_in_one_form() -> None:
    seattle, planetlab, cloud = read_networks(BUNDLED)
    assert seattle.rtt_ms.shape == (86, 36, 36)
    assert seattle.rtt_ms[seattle.rtt_ms > 0].min() >= 5.0
    assert planetlab.rtt_ms.shape == (2, 48, 48)
    assert np.isinf(planetlab.slice_s)
    assert cloud.mbps is not None
    assert cloud.mbps.shape == cloud.rtt_ms.shape
    assert cloud.places is not None
    london, dublin, tokyo = (
        cloud.nodes.index(name) for name in ("aws:eu-west-2", "aws:eu-west-1", "aws:ap-northeast-1")
    )
    assert cloud.places[london] == cloud.places[dublin] != cloud.places[tokyo]
    assert cloud.rtt_ms[0, london, dublin] < cloud.rtt_ms[0, london, tokyo]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("a,b\n1,2\n3,4\n", id="a-table-of-something-else"),
        pytest.param("slice,src,d0,d1\n1,0,0,x\n1,1,0,0\n", id="text-for-a-number"),
        pytest.param("slice,src,d0,d1\n1,0,0,1\n", id="half-a-slice"),
        pytest.param(
            "src_region,dst_region,throughput_sent_mbps\na,b,1\nb,a,1\n", id="too-few-regions"
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "network.csv").write_text(text)
    with pytest.raises(BadInputError):
        read_networks([tmp_path / "network.csv"])


def test_later_files_judge_and_their_nodes_are_matched_by_name() -> None:
    _, planetlab, cloud = read_networks(BUNDLED)
    assert cloud.mbps is not None
    order = list(reversed(range(2, len(cloud.nodes))))  # fewer regions, in another order
    later = replace(
        cloud,
        nodes=tuple(cloud.nodes[row] for row in order),
        rtt_ms=cloud.rtt_ms[np.ix_([0], order, order)],
        mbps=2 * cloud.mbps[np.ix_([0], order, order)],
    )
    same, joined = join_later([planetlab, cloud], [later])
    assert (same.early, joined.early) == (0, 1)
    assert joined.nodes == cloud.nodes[2:]
    assert joined.mbps is not None
    np.testing.assert_allclose(joined.mbps[1], 2 * joined.mbps[0])


def test_training_may_end_at_a_slice() -> None:
    seattle = read_networks(BUNDLED)[0]
    assert join_later([seattle], (), 20)[0].early == 20
    with pytest.raises(BadInputError, match="leave some to judge"):
        join_later([seattle], (), 86)


def test_a_later_network_of_other_nodes_is_refused() -> None:
    seattle, _, cloud = read_networks(BUNDLED)
    with pytest.raises(BadInputError, match="same nodes"):
        join_later([seattle], [cloud])
