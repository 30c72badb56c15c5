"""The joint counts against trying all of them."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.scaling.joint import Frame, join
from moorage_policies.scaling.params import RatioBand


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    lows = tuple(draw(st.integers(0, 3)) for _ in range(2))
    highs = tuple(low + draw(st.integers(0, 8)) for low in lows)
    gpus = tuple(draw(st.integers(1, 4)) for _ in range(2))
    low = draw(st.sampled_from([0.0, 0.25, 0.5, 1.0]))
    band = RatioBand("a", "b", low, low + draw(st.sampled_from([0.25, 0.5, 2.0])))
    budget = draw(st.one_of(st.none(), st.integers(0, 60)))
    return Frame(lows, highs, gpus, budget, *draw(st.sampled_from([(None, None), ((0, 1), band)])))


@given(frames(), st.tuples(st.integers(0, 14), st.integers(0, 14)))
def test_counts_are_found_exactly_when_there_are_any(frame: Frame, wish: tuple[int, int]) -> None:
    ranges = [range(a, b + 1) for a, b in zip(frame.lows, frame.highs, strict=True)]
    possible = [counts for counts in itertools.product(*ranges) if frame.holds(counts)]
    found = join(wish, frame)
    if found is not None:
        assert found in possible
    else:
        clamped = [
            c
            for c in possible
            if all(
                n <= max(w, low)
                for n, w, low in zip(c, _raised(wish, frame), frame.lows, strict=True)
            )
        ]
        assert not clamped


def _raised(wish: tuple[int, int], frame: Frame) -> tuple[int, ...]:
    return tuple(max(w, low) for w, low in zip(wish, frame.lows, strict=True))


@given(frames(), st.tuples(st.integers(0, 14), st.integers(0, 14)))
def test_a_wish_that_holds_is_granted(frame: Frame, wish: tuple[int, int]) -> None:
    if frame.holds(wish):
        assert join(wish, frame) == wish
