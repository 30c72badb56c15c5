"""The server in fake time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from moorage_cluster.testing import FakeClock, eventually
from moorage_mocks.engine.batch import Batch, Pace, Room
from moorage_mocks.engine.server import ModelServer, Phase
from moorage_policies.errors import UnavailableError

FOREVER_S = 1e9
PACE = Pace(step_s=0.01, sequence_s=0.0, prefill_tokens_per_s=1000)


class Ledger:
    """An observer that keeps what it hears, in milliseconds."""

    def __init__(self) -> None:
        self.queue_ms: list[int] = []
        self.ttft_ms: list[int] = []
        self.gaps_ms: list[int] = []
        self.ends: list[tuple[str, int, int]] = []

    def started(self, queue_s: float) -> None:
        self.queue_ms.append(round(queue_s * 1000))

    def first_token(self, _prompt_tokens: int, ttft_s: float, _prefill_s: float) -> None:
        self.ttft_ms.append(round(ttft_s * 1000))

    def token(self, gap_s: float) -> None:
        self.gaps_ms.append(round(gap_s * 1000))

    def finished(self, reason: str, e2e_s: float, decode_s: float) -> None:
        self.ends.append((reason, round(e2e_s * 1000), round(decode_s * 1000)))


class HeldClock(FakeClock):
    """A fake clock whose sleeps wait while it is held, and for ever if they are for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.free.set()

    async def sleep(self, seconds: float) -> None:
        if seconds >= FOREVER_S:
            await asyncio.Event().wait()
        await self.free.wait()
        await super().sleep(seconds)


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def server(clock: HeldClock, ledger: Ledger) -> ModelServer:
    room = Room(sequences=1, step_tokens=1000, blocks=10**7, block_tokens=16)
    return ModelServer(Batch(PACE, room), clock, clock.sleep, ledger)


@pytest.fixture
async def ready(server: ModelServer) -> AsyncIterator[ModelServer]:
    stepping = asyncio.create_task(server.run(warm_up_s=3.0))
    await eventually(lambda: server.phase is Phase.READY)
    yield server
    stepping.cancel()


async def tokens_of(server: ModelServer, prompt: int, count: int) -> list[int]:
    return [token async for token in server.generate(prompt, count)]


async def test_nothing_is_taken_before_the_warm_up_is_over(
    server: ModelServer, clock: HeldClock
) -> None:
    with pytest.raises(UnavailableError, match="warming up"):
        await tokens_of(server, 1, 1)
    stepping = asyncio.create_task(server.run(warm_up_s=3.0))
    await eventually(lambda: server.phase is Phase.READY)
    assert clock.slept[0] == 3.0
    stepping.cancel()


async def test_times_are_those_of_the_steps(ready: ModelServer, ledger: Ledger) -> None:
    assert await tokens_of(ready, 90, 3) == [0, 1, 2]
    assert ledger.ttft_ms == [100]  # 10 + 90
    assert ledger.gaps_ms == [10, 10]
    assert ledger.ends == [("length", 120, 20)]


async def test_who_waits_for_the_batch_waits_in_the_queue(
    ready: ModelServer, ledger: Ledger
) -> None:
    await asyncio.gather(tokens_of(ready, 90, 3), tokens_of(ready, 40, 1))
    assert ledger.queue_ms == [0, 120]
    assert ledger.ttft_ms == [100, 170]  # 120 in the queue, 10 + 40


async def test_who_leaves_frees_the_place(ready: ModelServer, ledger: Ledger) -> None:
    leaver = asyncio.create_task(tokens_of(ready, 16, 10**8))
    await eventually(lambda: len(ledger.gaps_ms) > 2)
    leaver.cancel()
    assert await tokens_of(ready, 16, 2) == [0, 1]
    assert [reason for reason, _, _ in ledger.ends] == ["abort", "length"]
    assert ready.batch.used_blocks == 0


async def test_draining_lets_those_being_served_end_and_takes_nobody(
    ready: ModelServer, clock: HeldClock
) -> None:
    clock.free.clear()
    served = asyncio.create_task(tokens_of(ready, 16, 5))
    await eventually(lambda: bool(ready.batch.running))
    draining = asyncio.create_task(ready.drain(FOREVER_S))
    await eventually(lambda: ready.phase is Phase.DRAINING)
    with pytest.raises(UnavailableError, match="draining"):
        await tokens_of(ready, 1, 1)
    clock.free.set()
    assert len(await served) == 5
    assert await draining == 0


async def test_draining_ends_at_its_limit(server: ModelServer, clock: HeldClock) -> None:
    server.phase = Phase.READY  # and nobody steps
    served = asyncio.create_task(tokens_of(server, 16, 5))
    await eventually(lambda: bool(server.batch.waiting))
    assert await server.drain(limit_s=30.0) == 1
    assert 30.0 in clock.slept
    served.cancel()
