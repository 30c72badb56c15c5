"""Shares under scarcity: floors, priority, nothing wasted, one replica at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.scaling.shares import Claim, next_to_yield, share

claims = st.lists(
    st.builds(
        lambda n, priority, floor, more, held, weight: Claim(
            f"pool-{n}", priority, floor, floor + more, held, weight
        ),
        st.integers(0, 10**6),
        st.integers(0, 5),
        st.integers(0, 20),
        st.integers(0, 40),
        st.integers(0, 60),
        st.floats(0.1, 5),
    ),
    max_size=6,
    unique_by=lambda claim: claim.pool,
)


@given(claims, st.integers(0, 200))
def test_all_is_given_and_nobody_gets_more_than_asked(held: list[Claim], total: int) -> None:
    gpus = share(held, total).value.gpus
    demand = sum(claim.demand_gpus for claim in held)
    assert sum(gpus) == min(total, demand)
    assert all(0 <= g <= c.demand_gpus for g, c in zip(gpus, held, strict=True))


@given(claims, st.integers(0, 200))
def test_a_floor_is_missed_only_where_no_lower_priority_has_anything(
    held: list[Claim], total: int
) -> None:
    gpus = share(held, total).value.gpus
    for mine, short in zip(held, gpus, strict=True):
        if short < mine.floor_gpus:
            lower = [g for c, g in zip(held, gpus, strict=True) if c.priority < mine.priority]
            assert sum(lower) == 0


def test_water_rises_by_weight_and_demand() -> None:
    held = [Claim("a", 2, 4, 40, weight=2.0), Claim("b", 1, 4, 40, weight=1.0)]
    # 24 above the floors of 4: 16 to the double weight, 8 to the other
    assert share(held, 32).value.gpus == (20, 12)


def test_an_even_share_is_fair() -> None:
    held = [Claim("a", 1, 0, 10), Claim("b", 1, 0, 10)]
    assert share(held, 10).value.fairness_ratio == 1.0


def test_offline_yields_first_then_the_lowest_priority() -> None:
    held = [
        Claim("critical", 9, 8, 16, held_gpus=8),
        Claim("chat", 1, 0, 16, held_gpus=16),
        Claim("batch", 5, 0, 16, held_gpus=16, is_offline=True),
    ]
    shares = share(held, 24).value
    assert next_to_yield(held, shares) == 2
    calm = [Claim("a", 1, 0, 8, held_gpus=4)]
    assert next_to_yield(calm, share(calm, 8).value) is None
