"""Never two leaders: any delays, losses and repetitions, clocks off by up to the stated share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from moorage_cluster import election
from moorage_cluster.election import LeaseParams, LeaseRecord, Read, View, Wait, Write
from moorage_policies.errors import BadInputError

PARAMS = LeaseParams()
CANDIDATES = 3
# 10 / (1 - d) < 15 / (1 + d) holds up to d = 0.2
SAFE_DRIFT = 0.19
INDEX = st.integers(0, CANDIDATES - 1)


@dataclass
class Request:
    """A call on its way to the server; ``record`` is what it would write."""

    sent_s: float
    write: LeaseRecord | None = None
    expects: str | None = None


@dataclass
class Answer:
    """What the server said; ``conflict`` when the precondition failed."""

    sent_s: float
    record: LeaseRecord | None
    conflict: bool = False
    wrote: bool = False


@dataclass
class Candidate:
    view: View
    rate: float
    offset_s: float
    request: Request | None = None
    answer: Answer | None = None
    late: list[Request] = field(default_factory=list)

    def now_s(self, true_s: float) -> float:
        return self.offset_s + true_s * self.rate


class Election(RuleBasedStateMachine):
    """Candidates, a server that compares versions, and a network without manners."""

    drift = SAFE_DRIFT
    params = PARAMS

    def __init__(self) -> None:
        super().__init__()
        self.true_s = 0.0
        self.version = 0
        self.names = 0
        self.record: LeaseRecord | None = None
        self.terms: list[int] = []
        self.candidates: list[Candidate] = []

    @rule(
        rates=st.lists(
            st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=CANDIDATES, max_size=CANDIDATES
        )
    )
    def start(self, rates: list[float]) -> None:
        if not self.candidates:
            for rate in rates:
                self.candidates.append(self.newcomer(1.0 + rate * self.drift))

    def newcomer(self, rate: float) -> Candidate:
        self.names += 1
        return Candidate(View(f"c{self.names}"), rate, offset_s=1000.0 * self.names)

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.0, 4.0, 6.0, 9.0, 12.0]))
    def pass_time(self, seconds: float) -> None:
        self.true_s += seconds

    @rule(index=INDEX)
    def act(self, index: int) -> None:
        """A candidate does what it wants, unless a call of it is under way."""
        for candidate in self.candidates[index : index + 1]:
            if candidate.request or candidate.answer:
                continue
            now_s = candidate.now_s(self.true_s)
            match election.decide(candidate.view, now_s, self.params):
                case Read():
                    candidate.request = Request(now_s)
                case Write(version=version, transitions=transitions):
                    record = LeaseRecord(
                        candidate.view.identity, transitions, self.params.duration_s, ""
                    )
                    candidate.request = Request(now_s, record, version or "")
                case Wait():
                    candidate.view = election.unsure(candidate.view)

    @rule(index=INDEX)
    def serve(self, index: int) -> None:
        for candidate in self.candidates[index : index + 1]:
            if candidate.request and not candidate.answer:
                candidate.answer = self.serve_request(candidate.request)

    def serve_request(self, request: Request) -> Answer:
        if request.write is None:
            return Answer(request.sent_s, self.record)
        live = self.record.version if self.record else ""
        if request.expects != live:
            return Answer(request.sent_s, None, conflict=True)
        self.version += 1
        self.record = replace(request.write, version=str(self.version))
        return Answer(request.sent_s, self.record, wrote=True)

    @rule(index=INDEX)
    def deliver(self, index: int) -> None:
        for candidate in self.candidates[index : index + 1]:
            if not (answer := candidate.answer):
                continue
            now_s = candidate.now_s(self.true_s)
            if answer.conflict:
                candidate.view = election.unsure(candidate.view)
            elif answer.wrote and answer.record:
                candidate.view = election.wrote(
                    candidate.view, answer.record, answer.sent_s, now_s, self.params
                )
            else:
                candidate.view = election.read(candidate.view, answer.record, now_s)
            candidate.request = candidate.answer = None

    @rule(index=INDEX)
    def give_up(self, index: int) -> None:
        """A time-out: the answer is lost, or the call still wanders about and arrives later."""
        for candidate in self.candidates[index : index + 1]:
            if candidate.request:
                if not candidate.answer:
                    candidate.late.append(candidate.request)
                candidate.request = candidate.answer = None
                candidate.view = election.unsure(candidate.view)

    @rule(index=INDEX)
    def late_arrival(self, index: int) -> None:
        for candidate in self.candidates[index : index + 1]:
            if candidate.late:
                self.serve_request(candidate.late.pop())

    @rule(index=INDEX)
    def restart(self, index: int) -> None:
        """A process dies; its late calls may still arrive under its successor's index."""
        for old in self.candidates[index : index + 1]:
            new = self.newcomer(old.rate)
            new.late = old.late + ([old.request] if old.request and not old.answer else [])
            self.candidates[index] = new

    @rule(index=INDEX)
    def release(self, index: int) -> None:
        for candidate in self.candidates[index : index + 1]:
            if candidate.view.holds(candidate.now_s(self.true_s)) and not candidate.request:
                candidate.view = election.resigned(candidate.view)
                assert candidate.view.record is not None
                released = replace(candidate.view.record, holder="", duration_s=1)
                candidate.request = Request(0.0, released, candidate.view.record.version)
                candidate.late.append(candidate.request)
                candidate.request = None

    @invariant()
    def at_most_one_leads(self) -> None:
        leaders = [c for c in self.candidates if c.view.holds(c.now_s(self.true_s))]
        assert len(leaders) <= 1

    @invariant()
    def a_later_term_has_a_larger_token(self) -> None:
        for candidate in self.candidates:
            record = candidate.view.record
            if record and candidate.view.holds(candidate.now_s(self.true_s)):
                assert not self.terms or record.transitions >= self.terms[-1]
                self.terms.append(record.transitions)


SETTINGS = settings(
    max_examples=150,
    stateful_step_count=80,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def test_never_two_leaders() -> None:
    run_state_machine_as_test(Election, settings=SETTINGS)


def handover(drift: float) -> bool:
    """Whether both lead when the leader's clock is slow, the follower's fast, and calls instant."""

    class Scripted(Election):
        pass

    Scripted.drift = drift
    world = Scripted()
    world.start([-1.0, 1.0, 0.0])
    for index in (0, 0, 1):  # the first reads, creates; the second sees it
        world.act(index)
        world.serve(index)
        world.deliver(index)
    first, second = world.candidates[:2]
    assert first.view.holds(first.now_s(world.true_s))
    world.true_s = (PARAMS.duration_s + 0.001) / (1 + drift)
    world.act(1)
    world.serve(1)
    world.deliver(1)
    assert second.view.holds(second.now_s(world.true_s))
    return first.view.holds(first.now_s(world.true_s))


def test_the_stated_drift_is_the_bound() -> None:
    """Also shows that the check above can fail: beyond the bound there are two leaders."""
    assert not handover(0.19)
    assert handover(0.21)


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
