"""When is solved: soon after the last newcomer, never long after the first."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.planning.batch import Batch, BatchParams, observe, solved

PARAMS = BatchParams(debounce_s=1.0, longest_s=5.0, retry_s=5.0)


class Story:
    """A batch and its clock; ``at`` looks, and answers whenever a search is due."""

    def __init__(self, params: BatchParams = PARAMS) -> None:
        self.batch = Batch()
        self.params = params
        self.searches: list[tuple[float, frozenset[str]]] = []

    def at(
        self, now_s: float, waiting: Sequence[str], *, generation: int = 1, world: Hashable = 0
    ) -> bool:
        self.batch, due = observe(
            self.batch,
            waiting,
            generation=generation,
            world=world,
            now_s=now_s,
            params=self.params,
        )
        if due:
            self.searches.append((now_s, frozenset(waiting)))
            self.batch = solved(
                self.batch, waiting, generation=generation, now_s=now_s, params=self.params
            )
        return due


def test_newcomers_are_gathered_until_a_quiet_second() -> None:
    story = Story()
    assert [story.at(0.0, ["a"]), story.at(0.75, ["a", "b"]), story.at(1.5, ["a", "b"])] == [
        False, False, False,
    ]  # fmt: skip
    assert story.at(1.75, ["a", "b"])


def test_a_stream_of_newcomers_is_cut_after_five_seconds() -> None:
    story = Story()
    names = [str(number) for number in range(100)]
    due = [story.at(0.5 * step, names[: step + 1]) for step in range(11)]
    assert due.index(True) == 10  # 5 s


def test_nobody_waiting_is_never_solved() -> None:
    story = Story()
    assert not any(story.at(float(second), []) for second in range(100))


def test_answered_pods_rest_until_something_changes() -> None:
    story = Story()
    story.at(0.0, ["a"])
    assert story.at(1.0, ["a"])
    assert not story.at(100.0, ["a"])  # the same generation: the same answer
    assert story.at(101.0, ["a"], generation=2)
    assert not story.at(105.0, ["a"], generation=3)  # the pause doubled
    assert story.at(112.0, ["a"], generation=3)


def test_a_new_node_voids_earlier_answers() -> None:
    story = Story()
    story.at(0.0, ["a"])
    story.at(1.0, ["a"])
    assert not story.at(1.5, ["a"], generation=2, world="one more node")
    assert story.at(2.5, ["a"], generation=2, world="one more node")


def test_an_autoscaler_is_given_its_delay() -> None:
    story = Story(BatchParams(debounce_s=1.0, longest_s=5.0, delay_s=30.0))
    assert not any(story.at(float(second), ["a"]) for second in range(31))
    assert story.at(31.0, ["a"])


@given(
    st.lists(st.tuples(st.floats(0.01, 2.0), st.frozensets(st.sampled_from("abcdef"))), max_size=60)
)
def test_no_pod_waits_longer_than_both_limits_for_its_first_search(
    looks: list[tuple[float, frozenset[str]]],
) -> None:
    story = Story()
    now_s, since = 0.0, dict[str, float]()
    for step, (pause_s, waiting) in enumerate(looks):
        now_s += pause_s
        since = {uid: since.get(uid, now_s) for uid in waiting}
        story.at(now_s, sorted(waiting), generation=step)
        for uid, first_s in since.items():
            covered = any(at_s >= first_s and uid in pods for at_s, pods in story.searches)
            # one more pause may pass between becoming due and the next look
            assert covered or now_s - first_s <= PARAMS.longest_s + pause_s


@pytest.mark.parametrize("generations", [1, 50])
def test_unchanged_facts_are_solved_once(generations: int) -> None:
    story = Story()
    for second in range(300):
        story.at(float(second), ["a"], generation=min(second, generations))
    assert len(story.searches) <= 1 + generations
    pauses = [b[0] - a[0] for a, b in zip(story.searches, story.searches[1:], strict=False)]
    assert pauses == sorted(pauses)
