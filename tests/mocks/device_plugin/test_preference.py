from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from moorage_mocks.device_plugin.board import read_board
from moorage_mocks.device_plugin.preference import preferred


def choose(
    links: str, available: list[int], size: int, needed: tuple[int, ...] = (), count: int = 8
) -> list[int]:
    labels = {"mock.moorage.dev/gpus": str(count), "mock.moorage.dev/links": links}
    gpus = read_board("n1", labels, {}).gpus
    ids = {gpu.uuid: gpu.index for gpu in gpus}
    by_index = {index: uuid for uuid, index in ids.items()}
    chosen = preferred(gpus, [by_index[i] for i in available], [by_index[i] for i in needed], size)
    return [ids[uuid] for uuid in chosen]


@pytest.mark.parametrize(
    ("links", "available", "size", "needed", "expected"),
    [
        pytest.param("pairs", [0, 2, 3, 5], 2, (), [2, 3], id="the-linked-pair"),
        pytest.param("pairs", [0, 2, 3], 1, (), [0], id="one-does-not-break-a-pair"),
        pytest.param("quads", [0, 1, 2, 4, 5, 6, 7], 4, (), [4, 5, 6, 7], id="the-whole-quad"),
        pytest.param("quads", [0, 1, 4, 5, 6, 7], 2, (), [0, 1], id="the-quad-that-is-broken"),
        pytest.param("pairs", [0, 1, 2, 3], 2, (3,), [2, 3], id="with-what-is-needed"),
        pytest.param("none", [3, 4, 5], 2, (), [4, 5], id="no-links-then-one-numa-node"),
        pytest.param("switch", [1, 2, 3], 2, (), [1, 2], id="all-equal-then-the-lowest"),
        pytest.param("switch", [1], 2, (), [1], id="fewer-than-asked"),
    ],
)
def test_preferred(
    links: str, available: list[int], size: int, needed: tuple[int, ...], expected: list[int]
) -> None:
    assert choose(links, available, size, needed) == expected


@given(
    links=st.sampled_from(["switch", "quads", "pairs", "none"]),
    available=st.sets(st.integers(0, 7), min_size=1),
    data=st.data(),
)
def test_the_answer_is_a_choice_of_what_was_offered(
    links: str, available: set[int], data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(available)))
    needed = data.draw(st.sets(st.sampled_from(sorted(available)), max_size=size))
    chosen = choose(links, sorted(available), size, tuple(needed))
    assert len(chosen) == len(set(chosen)) == size
    assert needed <= set(chosen) <= available


def test_the_largest_board_is_answered() -> None:
    assert len(choose("pairs", list(range(16)), 8, count=16)) == 8


def test_ids_that_are_not_on_the_board_are_passed_over() -> None:
    gpus = read_board("n1", {"mock.moorage.dev/gpus": "2"}, {}).gpus
    assert preferred(gpus, ["GPU-gone", gpus[1].uuid], [], 2) == [gpus[1].uuid]
