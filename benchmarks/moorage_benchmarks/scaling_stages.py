"""The stages of a simulated service: replicas that come and go, prompts in a queue, batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from moorage_benchmarks.scaling_profiles import Profile
from moorage_benchmarks.scaling_traces import Trace
from moorage_policies.types import FloatArray, IntArray

STEP_S = 0.5
"""Time in which batches change."""
STANDSTILL = 1e-9
"""Tokens by which the clock goes on while nobody decodes, so that it tells the moments apart."""
RING = 1 << 17
"""Tokens that the longest output may have."""


@dataclass(slots=True)
class Replicas:
    """The replicas of one role."""

    ready: int
    most: int
    start_up_s: float
    starting: list[float] = field(default_factory=list)
    leaving: list[float] = field(default_factory=list)

    @property
    def desired(self) -> int:
        """Return the replicas asked for."""
        return self.ready + len(self.starting)

    @property
    def held(self) -> int:
        """Return the replicas that are paid for."""
        return self.desired + len(self.leaving)

    def advance(self, now_s: float) -> None:
        """Let those serve that have started, and those go that have drained."""
        while self.starting and self.starting[0] <= now_s + 1e-9:
            self.starting.pop(0)
            self.ready += 1
        self.leaving = [until_s for until_s in self.leaving if until_s > now_s]

    def ask(self, count: int, now_s: float, drain_s: float) -> None:
        """Ask for a count; what starts is called off before what serves."""
        count = min(max(0, count), self.most)
        if count > self.desired:
            self.starting += [now_s + self.start_up_s] * (count - self.desired)
        while count < self.desired and self.starting:
            self.starting.pop()
        if count < self.ready:
            self.leaving += [now_s + drain_s] * (self.ready - count)
            self.ready = count


class Prefill:
    """Prompts behind one queue."""

    def __init__(self, count: int, work_s: FloatArray) -> None:
        self.start_s = np.full(count, np.inf)
        self._work_s = work_s
        self._done = 0.0  # capacity that went by, replica-seconds
        self._next = 0.0  # capacity at which the next prompt can begin
        self._places = np.empty(0)  # where waiting prompts begin, in capacity
        self._first = 0
        self.busy_s = 0.0

    @property
    def waiting(self) -> int:
        """Return the prompts that wait."""
        return len(self._places)

    @property
    def waiting_s(self) -> float:
        """Return the time that they take."""
        ids = slice(self._first, self._first + len(self._places))
        return float(self._work_s[ids].sum())

    def play(self, arrivals_s: FloatArray, times_s: FloatArray, ready: Sequence[int]) -> IntArray:
        """Return the requests whose prefill began, by id, in order.

        Args:
            arrivals_s: arrivals of the tick, ids following those that were given before.
            times_s: borders of the steps, shape ``(steps + 1,)``.
            ready: replicas in each step.
        """
        steps = np.diff(times_s) * np.asarray(ready, dtype=np.float64)
        capacity = self._done + np.concatenate(([0.0], np.cumsum(steps)))
        begun = self._first + len(self._places)
        backlog = max(0.0, self._next - self._done)
        work = self._work_s[begun : begun + len(arrivals_s)]
        before = np.concatenate(([0.0], np.cumsum(work)))
        at = np.interp(arrivals_s, times_s, capacity)
        if len(arrivals_s):
            floor = np.maximum(np.maximum.accumulate(at - before[:-1]), self._next)
            new = floor + before[:-1]
            self._next = float(new[-1] + work[-1])
            self._places = np.concatenate((self._places, new))
        count = int(np.searchsorted(self._places, capacity[-1], side="left"))
        started = np.arange(self._first, self._first + count)
        self.start_s[started] = np.interp(self._places[:count], capacity, times_s)
        left = max(0.0, self._next - float(capacity[-1]))
        self.busy_s = max(0.0, backlog + float(work.sum()) - left)
        self._places = self._places[count:]
        self._first += count
        self._done = float(capacity[-1])
        return started


class Decode:
    """Requests in batches, on a clock of tokens."""

    def __init__(self, trace: Trace, profile: Profile) -> None:
        self._profile = profile
        self._output = trace.output_tokens
        self._room = trace.context_tokens + trace.output_tokens
        self._token_s: list[float] = [float(s) for s in profile.token_s]
        self._ring = np.zeros((RING, 3))  # requests, cache and tokens that leave at each place
        self._leaving = np.column_stack((np.ones(len(trace)), self._room, self._output))
        self.clock = 0.0
        self.running = 0.0
        self.cache = 0.0
        self.queue: list[int] = []
        self.joined_at = np.full(len(trace), np.nan)
        self.joined_s = np.full(len(trace), np.inf)
        self.finished = 0.0
        self.finished_tokens = 0.0

    def step(self, due: IntArray, due_s: FloatArray, now_s: float, replicas: int) -> float:
        """Admit, decode for one step, let go; return the time between tokens."""
        if len(due):
            self._admit(due, due_s, now_s, replicas)
        elif self.queue:
            self._admit_queue(now_s, replicas)
        if self.running <= 0.0:  # nobody is there, but the clock must tell idle moments apart
            self.clock += STEP_S / self._token_s[1]
            return self._token_s[1]
        if replicas == 0:
            self.clock += STANDSTILL
            return self._token_s[1]
        token_s = self._time(self.running / replicas)
        clock = self.clock + STEP_S / token_s
        self._release(int(self.clock), int(clock))
        self.clock = clock
        return token_s

    def _time(self, batch: float) -> float:
        low = min(int(batch), len(self._token_s) - 2)
        part = batch - low
        return self._token_s[low] * (1.0 - part) + self._token_s[low + 1] * part

    def _admit(self, due: IntArray, due_s: FloatArray, now_s: float, replicas: int) -> None:
        room = self._room[due].sum()
        fits = self.running + len(due) <= replicas * self._profile.max_batch
        if not self.queue and fits and self.cache + room <= replicas * self._profile.kv_tokens:
            self._join(due, due_s)
            return
        self.queue += due.tolist()
        self._admit_queue(now_s, replicas)

    def _admit_queue(self, now_s: float, replicas: int) -> None:
        ids = np.array(self.queue[: max(0, int(replicas * self._profile.max_batch - self.running))])
        if not len(ids):
            return
        ids = ids.astype(np.int64)
        cache = self.cache + np.cumsum(self._room[ids])
        count = int(np.searchsorted(cache, replicas * self._profile.kv_tokens, side="right"))
        if count == 0 and self.running <= 0.0 and replicas:
            count = 1  # larger than any cache: it is served alone
        if count:
            self._join(ids[:count], np.full(count, now_s))
            self.queue = self.queue[count:]

    def _join(self, ids: IntArray, at_s: FloatArray) -> None:
        places = (self.clock + self._output[ids]).astype(np.int64) % RING
        np.add.at(self._ring, places, self._leaving[ids])
        self.joined_at[ids] = self.clock
        self.joined_s[ids] = at_s
        self.running += len(ids)
        self.cache += float(self._room[ids].sum())

    def _release(self, start: int, end: int) -> None:
        """Let go of those whose last token falls on the clock's way."""
        if end <= start:
            return
        start, end = start % RING, (end - 1) % RING + 1
        parts = ((start, end),) if start < end else ((start, RING), (0, end))
        for first, last in parts:
            places = self._ring[first:last]
            gone, room, tokens = places.sum(axis=0).tolist()
            if gone:
                self.running -= gone
                self.cache -= room
                self.finished += gone
                self.finished_tokens += tokens
                places[:] = 0.0
