"""Never two leaders: any delays, losses and repetitions, clocks off by up to the stated share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_cluster import election
from moorage_cluster.election import LeaseParams, LeaseRecord, Read, View, Wait, Write
from moorage_policies.errors import BadInputError

PARAMS = LeaseParams()
# 10 / (1 - d) < 15 / (1 + d) holds up to d = 0.2
SAFE_DRIFT = 0.19


@dataclass
class Call:
    """A call under way; ``write`` is what it would store over ``expects``."""

    sent_s: float
    write: LeaseRecord | None = None
    expects: str = ""
    served: bool = False
    conflict: bool = False
    answer: LeaseRecord | None = None


@dataclass
class Candidate:
    """One process; its clock runs at ``rate``."""

    view: View
    rate: float
    call: Call | None = None
    late: list[Call] = field(default_factory=list)


class World:
    """Candidates, a server that compares versions, and a network without manners."""

    def __init__(self, rates: list[float]) -> None:
        self.true_s = 0.0
        self.version = 0
        self.names = 0
        self.record: LeaseRecord | None = None
        self.terms: list[tuple[int, str]] = []
        self.candidates = [self.newcomer(rate) for rate in rates]

    def newcomer(self, rate: float) -> Candidate:
        self.names += 1
        return Candidate(View(f"c{self.names}"), rate)

    def now_s(self, candidate: Candidate) -> float:
        return 1000.0 + self.true_s * candidate.rate

    def leaders(self) -> list[Candidate]:
        return [c for c in self.candidates if c.view.holds(self.now_s(c))]

    def act(self, candidate: Candidate) -> None:
        """Send what the candidate wants to send, unless a call of it is under way."""
        if candidate.call:
            return
        now_s = self.now_s(candidate)
        match election.decide(candidate.view, now_s, PARAMS):
            case Read():
                candidate.call = Call(now_s)
            case Write(version=version, transitions=transitions):
                name = candidate.view.identity
                record = LeaseRecord(name, transitions, PARAMS.duration_s, "")
                candidate.call = Call(now_s, record, version or "")
            case Wait():
                candidate.view = election.unsure(candidate.view)

    def serve(self, candidate: Candidate) -> None:
        if candidate.call and not candidate.call.served:
            self.commit(candidate.call)

    def commit(self, call: Call) -> None:
        call.served = True
        if call.write:
            call.conflict = call.expects != (self.record.version if self.record else "")
            if not call.conflict:
                self.version += 1
                self.record = replace(call.write, version=str(self.version))
        call.answer = self.record

    def deliver(self, candidate: Candidate) -> None:
        call, view, now_s = candidate.call, candidate.view, self.now_s(candidate)
        if not call or not call.served:
            return
        candidate.call = None
        if call.conflict:
            candidate.view = election.unsure(view)
        elif call.write and call.answer:
            candidate.view = election.wrote(view, call.answer, call.sent_s, now_s, PARAMS)
        else:
            candidate.view = election.read(view, call.answer, now_s)

    def give_up(self, candidate: Candidate) -> None:
        """A time-out: the answer is lost, or the call wanders about and arrives later."""
        if candidate.call:
            candidate.late += [candidate.call] if not candidate.call.served else []
            candidate.call = None
            candidate.view = election.unsure(candidate.view)

    def arrive_late(self, candidate: Candidate) -> None:
        if candidate.late:
            self.commit(candidate.late.pop())

    def restart(self, candidate: Candidate) -> None:
        """The process dies, its calls go on, and another starts with a clock of the same rate."""
        self.give_up(candidate)
        candidate.view = self.newcomer(candidate.rate).view

    def release(self, candidate: Candidate) -> None:
        record = candidate.view.record
        if candidate in self.leaders() and record:
            self.give_up(candidate)
            candidate.view = election.resigned(candidate.view)
            candidate.late.append(Call(0.0, replace(record, holder=""), record.version))

    def check(self) -> None:
        leaders = self.leaders()
        assert len(leaders) <= 1
        for leader in leaders:
            assert leader.view.record is not None
            term = (leader.view.record.transitions, leader.view.identity)
            if not self.terms or self.terms[-1] != term:
                # a later term of another process always has the larger token
                assert not self.terms or self.terms[-1][0] < term[0]
                self.terms.append(term)


def tell(seed: int, rates: list[float]) -> World:
    """Play a long story of slow calls and paused processes, and check after every step."""
    chance, world = Random(seed), World(rates)
    acts = [world.act, world.serve, world.deliver, world.give_up, world.arrive_late]
    weights = [8, 8, 8, 2, 3]
    paused_until_s = [0.0] * len(rates)
    for _ in range(5000):
        index = chance.randrange(len(rates))
        candidate = world.candidates[index]
        if world.true_s < paused_until_s[index]:
            world.serve(candidate)  # the network and the server go on
        elif chance.random() < 0.005:
            # a process is often stopped again right after it woke and read its answer
            chance.choice([world.act, world.deliver])(candidate)
            paused_until_s[index] = world.true_s + chance.choice([3.0, 6.0, 9.0, 20.0])
        elif chance.random() < 0.005:
            chance.choice([world.restart, world.release])(candidate)
        else:
            chance.choices(acts, weights)[0](candidate)
        world.check()
        world.true_s += chance.choice([0.0, 0.0, 0.0, 0.0, 0.0, 0.2])
        world.check()
    return world


@given(
    seed=st.integers(0, 2**32),
    drifts=st.lists(st.sampled_from([-SAFE_DRIFT, 0.0, SAFE_DRIFT]), min_size=2, max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_never_two_leaders(seed: int, drifts: list[float]) -> None:
    tell(seed, [1.0 + drift for drift in drifts])


def test_the_stories_are_about_something() -> None:
    """Leadership changes hands often, and clocks beyond the bound would be found out."""
    terms = [len(tell(seed, [1.0, 1.0]).terms) for seed in range(20)]
    assert sum(terms) > 50

    def found_out(seed: int) -> bool:
        try:
            tell(seed, [0.5, 0.5, 1.5])
        except AssertionError:
            return True
        return False

    assert any(found_out(seed) for seed in range(20))


def hand_over(drift: float) -> list[Candidate]:
    """Who leads at the handover when the leader's clock is slow and the follower's fast."""
    world = World([1.0 - drift, 1.0 + drift])
    first, second = world.candidates

    def call(candidate: Candidate) -> None:
        world.act(candidate)
        world.serve(candidate)
        world.deliver(candidate)

    for candidate in (first, first, second):  # the first reads and creates, the second sees it
        call(candidate)
    assert world.leaders() == [first]
    world.true_s = (PARAMS.duration_s + 0.001) / (1 + drift)
    call(second)
    return world.leaders()


def test_the_stated_drift_is_the_bound() -> None:
    assert len(hand_over(0.19)) == 1
    assert len(hand_over(0.21)) == 2


def test_a_term_counts_from_when_its_write_was_sent() -> None:
    record = LeaseRecord("a", 0, 15.0, "9")
    view = election.wrote(View("a"), record, sent_s=100.0, now_s=104.0, params=PARAMS)
    assert view.holds(109.9)
    assert not view.holds(110.0)


def test_seeing_another_holder_ends_the_term_at_once() -> None:
    view = election.wrote(View("a"), LeaseRecord("a", 0, 15.0, "9"), 100.0, 100.0, PARAMS)
    assert not election.read(view, LeaseRecord("b", 1, 15.0, "10"), 101.0).holds(101.0)
    assert not election.read(view, None, 101.0).holds(101.0)
    assert election.read(view, LeaseRecord("a", 0, 15.0, "10"), 101.0).holds(101.0)


def test_a_released_lease_is_taken_without_waiting() -> None:
    view = election.read(View("b"), LeaseRecord("", 4, 1, "9"), now_s=0.0)
    assert election.decide(view, 0.0, PARAMS) == Write("9", 5, taking_over=True)


def test_a_foreign_lease_is_waited_for_as_long_as_its_holder_promised() -> None:
    view = election.read(View("b"), LeaseRecord("a", 4, 60.0, "9"), now_s=100.0)
    assert election.decide(view, 159.9, PARAMS) == Wait(160.0)
    assert election.decide(view, 160.0, PARAMS) == Write("9", 5, taking_over=True)


def test_the_count_starts_anew_whenever_the_lease_changes() -> None:
    view = election.read(View("b"), LeaseRecord("a", 4, 15.0, "9"), now_s=100.0)
    view = election.read(view, LeaseRecord("a", 4, 15.0, "10"), now_s=110.0)
    view = election.read(view, LeaseRecord("a", 4, 15.0, "10"), now_s=114.0)
    assert election.decide(view, 120.0, PARAMS) == Wait(125.0)


def test_our_own_write_whose_answer_was_lost_is_renewed() -> None:
    view = election.read(View("b"), LeaseRecord("b", 4, 15.0, "9"), now_s=100.0)
    assert not view.holds(100.0)
    assert election.decide(view, 100.0, PARAMS) == Write("9", 4, taking_over=False)


@pytest.mark.parametrize(
    "timing",
    [
        {"duration_s": 10},
        {"renew_deadline_s": 15.0},
        {"retry_period_s": 10.0},
        {"retry_period_s": 0.0},
    ],
)
def test_a_timing_that_cannot_be_safe_is_refused(timing: dict[str, float]) -> None:
    with pytest.raises(BadInputError, match="renew_deadline_s < duration_s"):
        LeaseParams(**timing)  # type: ignore[arg-type]
