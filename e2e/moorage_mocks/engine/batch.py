"""Continuous batching: what a model server works on in each step, and how long the step takes.

A sequence owes tokens: first those of its prompt, then, after each token that it emits, that one. A
step gives every running sequence as many of its owed tokens as the step's budget allows; one that
owes nothing any more emits its next token. That covers prefill in chunks, decoding, and computing
again what a sequence lost when it had to give up its cache.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from moorage_policies.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a step takes: a fixed part, a part per decoding sequence, a part per other token."""

    step_s: float
    sequence_s: float
    prefill_tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Room:
    """What fits: sequences at once, tokens in a step, and the key-value cache in blocks."""

    sequences: int
    step_tokens: int
    blocks: int
    block_tokens: int

    def blocks_of(self, tokens: int) -> int:
        """Return the blocks that hold so many tokens."""
        return -(-tokens // self.block_tokens)


@dataclass(slots=True, eq=False)
class Sequence:
    """One request; ``cached`` counts its tokens whose keys and values are kept."""

    prompt_tokens: int
    max_tokens: int
    emitted: int = 0
    cached: int = 0
    running: bool = False

    @property
    def owed(self) -> int:
        """Return the tokens to compute before the next one is emitted."""
        return self.prompt_tokens + self.emitted - self.cached

    @property
    def finished(self) -> bool:
        """Return whether every token that was asked for is out."""
        return self.emitted >= self.max_tokens


@dataclass(frozen=True, slots=True)
class Step:
    """One step: seconds that it takes, and tokens by sequence."""

    duration_s: float
    shares: tuple[tuple[Sequence, int], ...]


@dataclass(slots=True)
class Batch:
    """The sequences that run and those that wait, first come first served.

    ``used_blocks`` of the cache are taken; ``preemptions`` counts how often a running sequence lost
    its cache to an older one.
    """

    pace: Pace
    room: Room
    running: list[Sequence] = field(default_factory=list)
    waiting: deque[Sequence] = field(default_factory=deque)
    used_blocks: int = 0
    preemptions: int = 0

    @property
    def cache_ratio(self) -> float:
        """Return the share of the cache that is taken, 0 to 1."""
        return self.used_blocks / self.room.blocks

    def submit(self, prompt_tokens: int, max_tokens: int) -> Sequence:
        """Return a new sequence at the end of the queue.

        Raises:
            BadInputError: the sequence would not fit into the empty cache.
        """
        longest = self.room.blocks * self.room.block_tokens
        if prompt_tokens + max_tokens > longest:
            raise BadInputError(
                f"{prompt_tokens} prompt tokens and {max_tokens} new ones are more than the "
                f"{longest} that fit; send a shorter prompt or ask for fewer",
                field="max_tokens",
            )
        sequence = Sequence(prompt_tokens, max_tokens)
        self.waiting.append(sequence)
        return sequence

    def abort(self, sequence: Sequence) -> None:
        """Forget a sequence, wherever it is."""
        if sequence.running:
            self.running.remove(sequence)
            self._release(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)

    def plan(self) -> Step | None:
        """Return the next step, its room in the cache already taken; ``None`` when there is none.

        Carry it out with ``commit``, once its seconds are over.
        """
        self._admit()
        left, shares = self.room.step_tokens, []
        for sequence in tuple(self.running):
            tokens = min(sequence.owed, left)
            if tokens and sequence.running and self._take(sequence, tokens):
                shares.append((sequence, tokens))
                left -= tokens
        return Step(self._duration_s(shares), tuple(shares)) if shares else None

    def commit(self, step: Step) -> list[Sequence]:
        """Return the sequences that emit a token at the end of a step; finished ones leave."""
        emitting = [
            sequence for sequence, _ in step.shares if sequence.running and not sequence.owed
        ]
        for sequence in emitting:
            sequence.emitted += 1
        for sequence in [sequence for sequence in emitting if sequence.finished]:
            self.running.remove(sequence)
            self._release(sequence)
        return emitting

    def _admit(self) -> None:
        while self.waiting and len(self.running) < self.room.sequences:
            free = self.room.blocks - self.used_blocks
            if self.room.blocks_of(self.waiting[0].owed) > free:
                return
            sequence = self.waiting.popleft()
            sequence.running = True
            self.running.append(sequence)

    def _take(self, sequence: Sequence, tokens: int) -> bool:
        """Return whether a sequence keeps so many more tokens; the newest give way for it."""
        blocks_of = self.room.blocks_of
        more = blocks_of(sequence.cached + tokens) - blocks_of(sequence.cached)
        while sequence.running and more > self.room.blocks - self.used_blocks:
            newest = self.running.pop()
            self._release(newest)
            self.waiting.appendleft(newest)
            self.preemptions += 1
        if sequence.running:
            sequence.cached += tokens
            self.used_blocks += more
        return sequence.running

    def _release(self, sequence: Sequence) -> None:
        self.used_blocks -= self.room.blocks_of(sequence.cached)
        sequence.cached = 0
        sequence.running = False

    def _duration_s(self, shares: Iterable[tuple[Sequence, int]]) -> float:
        decoding = prefill_tokens = 0
        for sequence, tokens in shares:
            if tokens == 1 and sequence.emitted:
                decoding += 1
            else:
                prefill_tokens += tokens
        pace = self.pace
        return pace.step_s + pace.sequence_s * decoding + prefill_tokens / pace.prefill_tokens_per_s
