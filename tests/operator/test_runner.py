"""Workers: what a failure means for its pool and for the others."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from moorage_cluster.errors import Failure, TooManyRequestsError
from moorage_operator.errors import NotLeadingError
from moorage_operator.metrics import Metrics
from moorage_operator.services.pools import Outcome
from moorage_operator.services.runner import Runner
from moorage_operator.wakeups import Wakeups

Run = Callable[[Any], Any]
Key = tuple[str, str]
A, B = ("n", "a"), ("n", "b")


class Told:
    def __init__(self) -> None:
        self.events: list[str] = []

    def report(self, event: str, /, **facts: object) -> None:
        self.events.append(f"{event} {facts}")


def build(
    reconcile: Callable[[Key], Awaitable[Outcome]], *, cap_s: float = 300.0
) -> tuple[Wakeups[Key], Runner, Metrics, Told]:
    clock = asyncio.get_running_loop().time
    wakeups: Wakeups[Key] = Wakeups(clock, settle_s=0.0, spacing_s=0.0)
    metrics, told = Metrics(), Told()
    runner = Runner(
        wakeups,
        reconcile,
        clock=clock,
        uniform=lambda: 1.0,
        retry_cap_s=cap_s,
        metrics=metrics,
        reporter=told,
    )
    return wakeups, runner, metrics, told


async def run_for(runner: Runner, seconds: float) -> None:
    task = asyncio.create_task(runner.run(2))
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_failing_pool_waits_longer_and_longer_while_others_go_on(run_virtually: Run) -> None:
    async def story() -> None:
        times: dict[Key, list[float]] = {A: [], B: []}

        async def reconcile(key: Key) -> Outcome:
            times[key].append(asyncio.get_running_loop().time())
            if key == A:
                raise ZeroDivisionError("a bug")
            return Outcome()

        wakeups, runner, metrics, told = build(reconcile, cap_s=4.0)
        began_s = asyncio.get_running_loop().time()
        wakeups.wake(A)
        wakeups.wake(B, after_s=1.0)
        await run_for(runner, 17.0)
        pauses = [b - a for a, b in itertools.pairwise(times[A])]
        # full jitter with 1.0 as the draw: the ceiling doubles up to the cap
        assert pauses == pytest.approx([0.5, 1.0, 2.0, 4.0, 4.0, 4.0])
        assert times[B] == [pytest.approx(began_s + 1.0)]
        assert any("ZeroDivisionError: a bug" in event for event in told.events)
        failed = metrics.registry.get_sample_value(
            "moorage_operator_reconciles_total", {"result": "failed"}
        )
        assert failed == 7

    run_virtually(story())


def test_retry_after_is_obeyed_though_the_pool_is_woken(run_virtually: Run) -> None:
    async def story() -> list[float]:
        times: list[float] = []

        async def reconcile(_key: Key) -> Outcome:
            times.append(asyncio.get_running_loop().time())
            if len(times) == 1:
                raise TooManyRequestsError(Failure("PATCH", "p", 429, "slow", retry_after_s=10.0))
            return Outcome()

        wakeups, runner, _, _ = build(reconcile)
        wakeups.wake(A)
        task = asyncio.create_task(runner.run(1))
        await asyncio.sleep(1.0)
        wakeups.wake(A)  # one of its pods changed
        await asyncio.sleep(20.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return times

    first_s, second_s = run_virtually(story())
    assert second_s - first_s >= 10.0


def test_a_refused_pool_is_tried_again_and_success_forgets_its_failures(run_virtually: Run) -> None:
    async def story() -> list[float]:
        outcomes = iter([True, True, False, True, False])
        times: list[float] = []

        async def reconcile(_key: Key) -> Outcome:
            times.append(asyncio.get_running_loop().time())
            refused = next(outcomes)
            return Outcome(is_refused=refused, look_again_s=None if refused else 1.0)

        wakeups, runner, _, _ = build(reconcile)
        wakeups.wake(A)
        await run_for(runner, 3.5)
        return [round(b - a, 3) for a, b in itertools.pairwise(times)]

    # refused: 0.5, then 1.0; done: looks again after 1.0; refused: 0.5 again
    assert run_virtually(story()) == [0.5, 1.0, 1.0, 0.5]


def test_losing_the_lease_ends_the_workers(run_virtually: Run) -> None:
    async def story() -> None:
        async def reconcile(_key: Key) -> Outcome:
            raise NotLeadingError

        wakeups, runner, _, _ = build(reconcile)
        wakeups.wake(A)
        with pytest.raises(ExceptionGroup) as caught:
            await runner.run(2)
        assert caught.group_contains(NotLeadingError)

    run_virtually(story())


def test_a_stuck_reconcile_shows_and_draining_does_not_wait_for_ever(run_virtually: Run) -> None:
    async def story() -> tuple[float, float, float]:
        async def reconcile(_key: Key) -> Outcome:
            await asyncio.Event().wait()
            return Outcome()

        wakeups, runner, _, _ = build(reconcile)
        idle_s = runner.stalled_s()
        wakeups.wake(A)
        task = asyncio.create_task(runner.run(1))
        await asyncio.sleep(70.0)
        stalled_s, began_s = runner.stalled_s(), asyncio.get_running_loop().time()
        await runner.drain(5.0)
        drained_s = asyncio.get_running_loop().time() - began_s
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return idle_s, stalled_s, drained_s

    idle_s, stalled_s, drained_s = run_virtually(story())
    assert idle_s == 0.0
    assert stalled_s == pytest.approx(70.0, abs=1.0)
    assert drained_s == pytest.approx(5.0)
