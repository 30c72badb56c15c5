from __future__ import annotations

import pytest

from moorage_mocks.device_plugin.board import Board, read_board
from moorage_mocks.device_plugin.labels import changed_labels, discovered_labels
from moorage_policies.errors import BadInputError

GPUS = "mock.moorage.dev/gpus"
FAULTS = "mock.moorage.dev/faults"


def board(annotations: dict[str, str] | None = None, **labels: str) -> Board:
    prefixed = {f"mock.moorage.dev/{key}": value for key, value in labels.items()}
    return read_board("n1", prefixed, annotations or {})


def test_a_node_without_the_label_carries_nothing() -> None:
    assert board().gpus == ()


def test_every_device_of_every_node_has_an_id_of_its_own_that_stays() -> None:
    one, again = board(gpus="16"), board(gpus="16")
    other = read_board("n2", {GPUS: "16"}, {})
    assert one == again
    ids = [gpu.uuid for gpu in (*one.gpus, *other.gpus)]
    assert len(set(ids)) == 32
    assert all(len(uuid) <= 63 for uuid in ids)  # the kubelet's limit


@pytest.mark.parametrize(
    ("links", "groups"),
    [
        pytest.param("switch", [0] * 8, id="a-switch-joins-all"),
        pytest.param("quads", [0, 0, 0, 0, 1, 1, 1, 1], id="two-quads"),
        pytest.param("pairs", [0, 0, 1, 1, 2, 2, 3, 3], id="four-pairs"),
        pytest.param("none", list(range(8)), id="no-links"),
    ],
)
def test_links_join_neighbours(links: str, groups: list[int]) -> None:
    gpus = board(gpus="8", links=links).gpus
    assert [gpu.group for gpu in gpus] == groups
    assert [gpu.numa for gpu in gpus] == [0] * 4 + [1] * 4


@pytest.mark.parametrize(
    ("faults", "broken", "xids"),
    [
        pytest.param("", [], {}, id="nothing-wrong"),
        pytest.param("0", [0], {}, id="broken-without-a-driver-error"),
        pytest.param("0, 3=79", [0, 3], {3: 79}, id="fallen-off-the-bus"),
        pytest.param("1=31", [], {1: 31}, id="a-page-fault-is-the-programs-own"),
    ],
)
def test_faults(faults: str, broken: list[int], xids: dict[int, int]) -> None:
    gpus = board({FAULTS: faults}, gpus="4").gpus
    assert [gpu.index for gpu in gpus if gpu.broken] == broken
    assert {gpu.index: gpu.xid for gpu in gpus if gpu.xid} == xids


@pytest.mark.parametrize(
    ("labels", "annotations", "field"),
    [
        pytest.param({GPUS: "eight"}, {}, GPUS, id="no-number"),
        pytest.param({GPUS: "-1"}, {}, GPUS, id="negative"),
        pytest.param({GPUS: "17"}, {}, GPUS, id="more-than-a-board-has"),
        pytest.param({GPUS: "²"}, {}, GPUS, id="a-digit-that-is-none"),
        pytest.param({GPUS: "4"}, {FAULTS: "4"}, FAULTS, id="no-such-device"),
        pytest.param({GPUS: "4"}, {FAULTS: "1=lost"}, FAULTS, id="no-error-number"),
        pytest.param(
            {"mock.moorage.dev/links": "ring"}, {}, "mock.moorage.dev/links", id="unknown-links"
        ),
        pytest.param(
            {},
            {"mock.moorage.dev/refuse-allocations": "yes"},
            "mock.moorage.dev/refuse-allocations",
            id="neither-true-nor-false",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    labels: dict[str, str], annotations: dict[str, str], field: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        read_board("n1", labels, annotations)
    assert caught.value.field == field


def test_the_labels_of_feature_discovery() -> None:
    labels = discovered_labels(board(gpus="8", product="NVIDIA-A100-SXM4-80GB"))
    expected = {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
        "nvidia.com/gpu.count": "8",
        "nvidia.com/gpu.memory": "81920",
        "nvidia.com/gpu.family": "ampere",
        "nvidia.com/gpu.compute.major": "8",
        "nvidia.com/gpu.compute.minor": "0",
    }
    assert expected.items() <= labels.items()


def test_labels_settle_after_one_write_and_go_with_the_devices() -> None:
    eight, none = board(gpus="8"), board()
    written = changed_labels(eight, {"zone": "a"})
    now = {key: value for key, value in written.items() if value is not None}
    assert now["nvidia.com/gpu.count"] == "8"
    assert "zone" not in written
    assert changed_labels(eight, now) == {}
    assert changed_labels(none, now) == dict.fromkeys(now)
    assert changed_labels(none, {}) == {}


def test_a_product_that_nobody_knows_keeps_its_name() -> None:
    labels = discovered_labels(board(gpus="1", product="H100-80GB"))
    assert labels["nvidia.com/gpu.product"] == "H100-80GB"
    assert labels["nvidia.com/gpu.family"] is None
