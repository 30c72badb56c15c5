"""Who may lead: decisions over what was seen of a Lease and the local clock, without I/O.

Nobody reads another machine's wall clock. A follower starts counting when *it* sees the record
change and takes over ``duration_s`` later; a leader counts from the moment it *sent* its last
confirmed write and stops ``renew_deadline_s`` later. A follower cannot see a write before it was
sent, so with clocks that run at most a share ``d`` too fast or too slow there are never two
leaders while ``renew_deadline_s / (1 - d) < duration_s / (1 + d)``: a share of 0.2 with the
defaults. Delays, lost answers, paused processes and wrong wall clocks do not matter.

Two things are assumed: no two processes use the same identity, and nobody deletes the Lease.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from moorage_policies.errors import BadInputError


@dataclass(frozen=True, slots=True)
class LeaseParams:
    """The timing of an election, in seconds; the defaults are kube-scheduler's.

    ``retry_period_s`` is the pause between two reads or renewals, ``call_timeout_s`` the limit of
    a single call.
    """

    duration_s: int = 15
    renew_deadline_s: float = 10.0
    retry_period_s: float = 2.0
    call_timeout_s: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.retry_period_s < self.renew_deadline_s < self.duration_s:
            raise BadInputError(
                "choose retry_period_s < renew_deadline_s < duration_s, all positive",
                field="lease",
            )


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a Lease says; ``version`` is its resourceVersion and ``holder`` empty when released."""

    holder: str
    transitions: int
    duration_s: float
    version: str


@dataclass(frozen=True, slots=True)
class View:
    """What one candidate knows.

    ``record`` is the last one seen and ``seen_s`` when it changed. ``stale`` means that somebody
    (perhaps we, without an answer) may have written since: read before writing. ``held_until_s``
    is when our leadership ends unless it is renewed.
    """

    identity: str
    record: LeaseRecord | None = None
    seen_s: float = float("-inf")
    stale: bool = True
    held_until_s: float = float("-inf")

    def holds(self, now_s: float) -> bool:
        """Return whether this candidate leads at ``now_s``."""
        return now_s < self.held_until_s


@dataclass(frozen=True, slots=True)
class Read:
    """Read the Lease now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody else leads; nothing to write before ``until_s`` unless the Lease changes."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Write:
    """Write ourselves as holder over ``version``; ``None`` creates the Lease."""

    version: str | None
    transitions: int
    taking_over: bool


Action = Read | Wait | Write


def decide(view: View, now_s: float, params: LeaseParams) -> Action:
    """Return what the candidate does next."""
    if view.stale:
        return Read()
    record = view.record
    if record is None:
        return Write(version=None, transitions=0, taking_over=True)
    if record.holder == view.identity:
        return Write(record.version, record.transitions, taking_over=False)
    until_s = view.seen_s + (record.duration_s or params.duration_s)
    if not record.holder or now_s >= until_s:
        return Write(record.version, record.transitions + 1, taking_over=True)
    return Wait(until_s)


def read(view: View, record: LeaseRecord | None, now_s: float) -> View:
    """Return the view after the Lease was read; ``None`` means that there is none."""
    changed = record is None or view.record is None or record.version != view.record.version
    foreign = record is None or record.holder != view.identity
    return replace(
        view,
        record=record,
        seen_s=now_s if changed else view.seen_s,
        stale=False,
        held_until_s=float("-inf") if foreign else view.held_until_s,
    )


def wrote(
    view: View, record: LeaseRecord, sent_s: float, now_s: float, params: LeaseParams
) -> View:
    """Return the view after our write, sent at ``sent_s``, was confirmed."""
    return replace(
        view,
        record=record,
        seen_s=now_s,
        stale=False,
        held_until_s=sent_s + params.renew_deadline_s,
    )


def unsure(view: View) -> View:
    """Return the view after a write that failed or was not answered."""
    return replace(view, stale=True)


def resigned(view: View) -> View:
    """Return the view of a candidate that stops leading of its own will."""
    return replace(view, held_until_s=float("-inf"), stale=True)
