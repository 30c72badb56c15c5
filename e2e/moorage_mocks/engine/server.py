"""Lets a batch run in time, hands tokens to those who asked, and knows when it is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from moorage_cluster.pace import Sleep
from moorage_mocks.engine.batch import Batch, Sequence, Step
from moorage_policies.errors import UnavailableError
from moorage_policies.ports import Clock


class Phase(Enum):
    """Where a server is in its life; it takes requests only when it is ready."""

    WARMING = "warming up"
    READY = "ready"
    DRAINING = "draining"


class Observer(Protocol):
    """Hears what a model server would measure, in seconds."""

    def started(self, queue_s: float) -> None:
        """Hear that a request left the queue for the first time."""
        ...

    def first_token(self, prompt_tokens: int, ttft_s: float, prefill_s: float) -> None:
        """Hear of a request's first token."""
        ...

    def token(self, gap_s: float) -> None:
        """Hear of a later token and the time since the one before."""
        ...

    def finished(self, reason: str, e2e_s: float, decode_s: float) -> None:
        """Hear that a request ended: ``length``, or ``abort`` when its client left."""
        ...


@dataclass(slots=True, eq=False)
class Generation:
    """One request being served: its sequence, its times, and the tokens not yet fetched."""

    sequence: Sequence
    arrived_s: float
    started_s: float | None = None
    first_s: float | None = None
    last_s: float | None = None
    tokens: asyncio.Queue[int] = field(default_factory=asyncio.Queue)


class ModelServer:
    """Serves generations from one batch.

    Args:
        batch: what to run.
        clock: monotonic seconds.
        sleep: waits for a number of seconds.
        observer: hears what happens.
    """

    def __init__(self, batch: Batch, clock: Clock, sleep: Sleep, observer: Observer) -> None:
        self.batch = batch
        self.phase = Phase.WARMING
        self._clock = clock
        self._sleep = sleep
        self._observer = observer
        self._live: dict[Sequence, Generation] = {}
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, warm_up_s: float) -> None:
        """Warm up, then step for as long as there is work; runs until cancelled."""
        await self._sleep(warm_up_s)
        if self.phase is Phase.WARMING:
            self.phase = Phase.READY
        while True:
            step = self.batch.plan()
            self._note_started()
            if step is None:
                self._work.clear()
                await self._work.wait()
                continue
            await self._sleep(step.duration_s)
            self._deliver(step)

    async def generate(self, prompt_tokens: int, max_tokens: int) -> AsyncGenerator[int, None]:
        """Yield the number of each token, from 0, as it is emitted; give up when closed early.

        Raises:
            BadInputError: the request cannot ever fit.
            UnavailableError: the server is not ready.
        """
        if self.phase is not Phase.READY:
            raise UnavailableError(f"the server is {self.phase.value}")
        sequence = self.batch.submit(prompt_tokens, max_tokens)
        generation = self._live[sequence] = Generation(sequence, self._clock())
        self._idle.clear()
        self._work.set()
        try:
            for _ in range(max_tokens):
                yield await generation.tokens.get()
        finally:
            self._leave(generation)

    async def drain(self, limit_s: float) -> int:
        """Take no more requests, wait for those being served, and return how many are left."""
        self.phase = Phase.DRAINING
        idle = asyncio.ensure_future(self._idle.wait())
        limit = asyncio.ensure_future(self._sleep(limit_s))
        await asyncio.wait({idle, limit}, return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        limit.cancel()
        return len(self._live)

    def _note_started(self) -> None:
        now_s = self._clock()
        for sequence in self.batch.running:
            generation = self._live[sequence]
            if generation.started_s is None:
                generation.started_s = now_s
                self._observer.started(now_s - generation.arrived_s)

    def _deliver(self, step: Step) -> None:
        now_s = self._clock()
        for sequence in self.batch.commit(step):
            generation = self._live[sequence]
            if generation.last_s is None:
                generation.first_s = now_s
                started_s = generation.started_s or generation.arrived_s
                ttft_s, prefill_s = now_s - generation.arrived_s, now_s - started_s
                self._observer.first_token(sequence.prompt_tokens, ttft_s, prefill_s)
            else:
                self._observer.token(now_s - generation.last_s)
            generation.last_s = now_s
            generation.tokens.put_nowait(sequence.emitted - 1)

    def _leave(self, generation: Generation) -> None:
        sequence, now_s = generation.sequence, self._clock()
        end_s = (generation.last_s or now_s) if sequence.finished else now_s
        self.batch.abort(sequence)
        del self._live[sequence]
        if not self._live:
            self._idle.set()
        self._observer.finished(
            "length" if sequence.finished else "abort",
            end_s - generation.arrived_s,
            end_s - (generation.first_s if generation.first_s is not None else end_s),
        )
