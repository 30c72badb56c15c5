"""A view is proven fresh exactly when it equals what there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moorage_cluster.progress import Progress

Change = tuple[str, int]

CHANGES = st.lists(st.tuples(st.sampled_from(["put", "drop"]), st.integers(0, 3)), max_size=12)


class Cluster:
    """Objects by name with the revision of their last change."""

    def __init__(self) -> None:
        self.revision = 10
        self.objects: dict[int, int] = {}

    def apply(self, change: Change) -> tuple[str, int] | None:
        """Return the watch event that the change causes."""
        verb, name = change
        if verb == "drop" and name not in self.objects:
            return None
        self.revision += 1
        if verb == "drop":
            del self.objects[name]
            return "DELETED", self.revision
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.objects[name] = self.revision
        return kind, self.revision


@given(before=CHANGES, seen=CHANGES, missed=CHANGES)
def test_a_list_proves_a_view_that_missed_nothing_and_no_other(
    before: list[Change], seen: list[Change], missed: list[Change]
) -> None:
    cluster = Cluster()
    for change in before:
        cluster.apply(change)
    progress = Progress()
    progress.listed(cluster.revision, len(cluster.objects), asked_s=1.0)
    for change in seen:
        if event := cluster.apply(change):
            assert progress.accepts(event[0], event[1], now_s=2.0)  # type: ignore[arg-type]
    view = dict(cluster.objects)
    for change in missed:
        cluster.apply(change)
    assert progress.proven(cluster.objects.values(), asked_s=3.0) == (view == cluster.objects)


@given(st.lists(st.integers(1, 20), max_size=30))
def test_only_news_is_accepted(revisions: list[int]) -> None:
    progress = Progress()
    progress.listed(5, 0, asked_s=0.0)
    accepted = [r for r in revisions if progress.accepts("MODIFIED", r, now_s=1.0)]
    assert accepted == sorted(set(accepted))
    assert all(revision > 5 for revision in accepted)


def test_a_bookmark_may_repeat_the_newest_revision_but_not_go_back() -> None:
    progress = Progress()
    progress.listed(5, 0, asked_s=0.0)
    assert progress.accepts("BOOKMARK", 5, now_s=1.0)
    assert progress.fresh_s == 1.0
    assert not progress.accepts("BOOKMARK", 4, now_s=2.0)
    assert progress.fresh_s == 1.0
