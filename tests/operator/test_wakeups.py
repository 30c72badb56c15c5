"""The queue of pools on a loop whose time passes only when everything waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_operator.wakeups import Wakeups

Run = Callable[[Any], Any]


def queue(**options: float) -> Wakeups[str]:
    loop = asyncio.get_running_loop()
    return Wakeups(loop.time, **{"settle_s": 0.1, "spacing_s": 1.0, **options})


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_wakeups_of_one_key_coalesce(run_virtually: Run) -> None:
    async def story() -> tuple[str, int]:
        wakeups = queue()
        for _ in range(100):
            wakeups.wake("a")
        return await wakeups.next(), len(wakeups)

    assert run_virtually(story()) == ("a", 0)


def test_a_key_woken_while_it_runs_runs_again_after_the_spacing(run_virtually: Run) -> None:
    async def story() -> float:
        wakeups = queue()
        wakeups.wake("a")
        started_s = (await wakeups.next(), now_s())[1]
        wakeups.wake("a")
        wakeups.wake("b")
        assert await wakeups.next() == "b"  # "a" is never given out twice at a time
        wakeups.done("a")
        assert await wakeups.next() == "a"
        return now_s() - started_s

    assert run_virtually(story()) == pytest.approx(1.0)


def test_a_held_key_waits_though_it_is_woken_but_not_when_its_input_changed(
    run_virtually: Run,
) -> None:
    async def story(*, urgent: bool) -> float:
        wakeups = queue(spacing_s=0.0)
        began_s = now_s()
        wakeups.hold("a", 30.0)
        wakeups.wake("a", urgent=urgent)
        await wakeups.next()
        return now_s() - began_s

    assert run_virtually(story(urgent=False)) == pytest.approx(30.0)
    assert run_virtually(story(urgent=True)) == pytest.approx(0.1)


def test_an_earlier_wish_wins_over_a_later_one(run_virtually: Run) -> None:
    async def story() -> list[float]:
        wakeups = queue(settle_s=0.0, spacing_s=0.0)
        wakeups.wake("a", after_s=10.0)
        wakeups.wake("a", after_s=2.0)
        wakeups.wake("a", after_s=5.0)
        times = []
        for _ in range(1):
            await wakeups.next()
            times.append(now_s())
        return [*times, float(len(wakeups))]

    assert run_virtually(story()) == [pytest.approx(2.0), 0.0]


def test_a_forgotten_key_never_comes(run_virtually: Run) -> None:
    async def story() -> str:
        wakeups = queue()
        wakeups.wake("gone")
        wakeups.forget("gone")
        wakeups.wake("here", after_s=5.0)
        return await wakeups.next()

    assert run_virtually(story()) == "here"


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["wake", "urgent", "hold"]),
        st.sampled_from("abc"),
        st.floats(0.0, 3.0),
    ),
    max_size=30,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(actions=ACTIONS, workers=st.integers(1, 3))
def test_every_wakeup_is_followed_by_a_run_and_runs_never_overlap(
    run_virtually: Run, actions: list[tuple[str, str, float]], workers: int
) -> None:
    async def story() -> None:
        wakeups = queue()
        woken: dict[str, float] = {}
        begun: dict[str, float] = {}
        running: set[str] = set()

        async def work() -> None:
            while True:
                key = await wakeups.next()
                assert key not in running
                assert now_s() - begun.get(key, -10.0) >= 1.0 - 1e-9
                running.add(key)
                begun[key] = now_s()
                await asyncio.sleep(0.5)
                running.discard(key)
                wakeups.done(key)

        tasks = [asyncio.create_task(work()) for _ in range(workers)]
        for action, key, value_s in actions:
            if action == "hold":
                wakeups.hold(key, value_s)
            else:
                wakeups.wake(key, after_s=value_s, urgent=action == "urgent")
            woken[key] = now_s()
            await asyncio.sleep(value_s / 3)
        await asyncio.sleep(60.0)
        assert all(begun[key] >= at_s for key, at_s in woken.items())
        assert len(wakeups) == 0
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result

    run_virtually(story())
