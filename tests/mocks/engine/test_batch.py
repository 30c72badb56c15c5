from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from moorage_mocks.engine.batch import Batch, Pace, Room, Sequence
from moorage_policies.errors import BadInputError

PACE = Pace(step_s=0.01, sequence_s=0.001, prefill_tokens_per_s=1000)


def make_batch(
    *, sequences: int = 8, step_tokens: int = 100, blocks: int = 100, block_tokens: int = 4
) -> Batch:
    return Batch(PACE, Room(sequences, step_tokens, blocks, block_tokens))


def run_out(batch: Batch, limit: int = 100_000) -> list[float]:
    """Step until nothing is left and return the durations."""
    durations = []
    while (step := batch.plan()) is not None:
        durations.append(step.duration_s)
        batch.commit(step)
        assert len(durations) < limit, "no progress"
    return durations


@pytest.mark.parametrize(
    ("prompt", "tokens", "durations"),
    [
        # 0.01 + 50 / 1000, then 0.01 + 0.001 for each further token
        pytest.param(50, 3, [0.06, 0.011, 0.011], id="one-chunk"),
        # 100 and 50 tokens, then one decode
        pytest.param(150, 2, [0.11, 0.06, 0.011], id="two-chunks"),
        pytest.param(1, 1, [0.011], id="the-shortest"),
    ],
)
def test_how_long_one_request_takes(prompt: int, tokens: int, durations: list[float]) -> None:
    batch = make_batch()
    batch.submit(prompt, tokens)
    assert run_out(batch) == pytest.approx(durations)


def test_decoding_together_is_cheaper_than_one_after_the_other() -> None:
    together, alone = make_batch(), make_batch(sequences=1)
    for batch in (together, alone):
        for _ in range(4):
            batch.submit(4, 50)
    assert sum(run_out(together)) < 0.4 * sum(run_out(alone))


def test_what_exceeds_the_batch_waits_in_order() -> None:
    batch = make_batch(sequences=2)
    first, second, third = (batch.submit(4, 4) for _ in range(3))
    batch.plan()
    assert batch.running == [first, second]
    assert list(batch.waiting) == [third]


def test_the_cache_fills_with_the_tokens_and_empties() -> None:
    batch = make_batch(blocks=10)
    batch.submit(8, 5)  # 2 blocks of 4, then a third with the first new token
    for expected in (0.2, 0.3, 0.3):
        step = batch.plan()
        assert step
        assert batch.cache_ratio == pytest.approx(expected)
        batch.commit(step)
    run_out(batch)
    assert batch.cache_ratio == 0


def test_the_newest_gives_way_when_the_cache_is_full_and_ends_all_the_same() -> None:
    batch = make_batch(blocks=6)  # 24 tokens; each request ends with 8 + 8 of which 15 are kept
    old, new = batch.submit(8, 8), batch.submit(8, 8)
    order: list[Sequence] = []
    while (step := batch.plan()) is not None:
        order += [sequence for sequence in batch.commit(step) if sequence.finished]
    assert batch.preemptions >= 1
    assert order == [old, new]
    assert (old.emitted, new.emitted) == (8, 8)


def test_what_never_fits_is_refused() -> None:
    batch = make_batch(blocks=2)
    batch.submit(4, 4)
    with pytest.raises(BadInputError, match="max_tokens"):
        batch.submit(5, 4)


@given(
    requests=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 10)), min_size=1, max_size=12),
    sequences=st.integers(1, 4),
    step_tokens=st.integers(1, 20),
)
def test_every_request_gets_exactly_its_tokens(
    requests: list[tuple[int, int]], sequences: int, step_tokens: int
) -> None:
    batch = make_batch(sequences=sequences, step_tokens=step_tokens, blocks=10)
    submitted = [batch.submit(prompt, tokens) for prompt, tokens in requests]
    run_out(batch)
    assert [sequence.emitted for sequence in submitted] == [tokens for _, tokens in requests]
    assert batch.used_blocks == 0


class BatchLife(RuleBasedStateMachine):
    """Requests come, go and are worked on in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.batch = make_batch(sequences=3, step_tokens=7, blocks=8)
        self.step = None

    @rule(prompt=st.integers(1, 16), tokens=st.integers(1, 16))
    def submit(self, prompt: int, tokens: int) -> None:
        self.batch.submit(prompt, tokens)

    @rule(which=st.integers(0, 20))
    def abort(self, which: int) -> None:
        known = [*self.batch.running, *self.batch.waiting]
        if known:
            self.batch.abort(known[which % len(known)])

    @rule()
    def plan(self) -> None:
        if self.step is None:
            self.step = self.batch.plan()

    @rule()
    def commit(self) -> None:
        if self.step is not None:
            self.batch.commit(self.step)
            self.step = None

    @invariant()
    def holds(self) -> None:
        batch = self.batch
        blocks = [batch.room.blocks_of(sequence.cached) for sequence in batch.running]
        assert batch.used_blocks == sum(blocks) <= batch.room.blocks
        assert len(batch.running) <= batch.room.sequences
        assert all(sequence.running for sequence in batch.running)
        assert not any(sequence.running or sequence.cached for sequence in batch.waiting)
        assert not any(sequence.finished for sequence in batch.running)


TestBatchLife = BatchLife.TestCase
