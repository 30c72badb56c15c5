from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from moorage_crds.plan import PlacementPlan
from moorage_crds.plan_records import to_plan_record, write_plan_status
from moorage_policies.plans import MoveProgress, PlanProgress, PlanRecord

SPEC: dict[str, Any] = {
    "trigger": "Manual",
    "moves": [
        {
            "index": index,
            "step": index,
            "kind": "Move",
            "pod": {"namespace": "ns", "name": f"p{index}", "uid": f"u{index}"},
            "owner": {"kind": "ReplicaSet", "name": "a-1", "uid": "rs"},
            "from": "x",
            "to": "y",
            "strategy": "EvictFirst",
            "gpus": 2,
        }
        for index in (0, 1)
    ],
    "certificate": {"status": "Feasible"},
}
META = {"name": "p", "uid": "up", "creationTimestamp": "2026-01-02T03:04:05Z"}

moments = st.none() | st.integers(0, 2_000_000_000_000).map(lambda ms: ms / 1000)
words = st.sampled_from(["", "BudgetClosed", "TargetGone"])
states = st.builds(
    MoveProgress,
    index=st.just(0),
    phase=st.sampled_from(["Waiting", "Surging", "Evicting", "Binding", "Done", "Failed"]),
    replacement_name=st.sampled_from(["", "new"]),
    replacement_uid=st.sampled_from(["", "uid-new"]),
    siblings=st.lists(st.sampled_from("abcd"), unique=True).map(tuple),
    started_s=moments,
    phase_s=moments,
    finished_s=moments,
    reason=words,
    message=st.text(max_size=20),
)
progresses = st.builds(
    PlanProgress,
    phase=st.sampled_from(["Proposed", "Approved", "Executing", "Completed", "Aborted"]),
    step=st.integers(0, 255),
    moves=states.map(lambda state: (state, MoveProgress(1))),
    since_s=moments,
    started_s=moments,
    finished_s=moments,
    reason=words,
    message=st.text(max_size=20),
)


@given(progresses)
def test_a_status_says_all_that_is_needed_to_go_on(progress: PlanProgress) -> None:
    plan = PlacementPlan.read({"metadata": META, "spec": SPEC})
    record = to_plan_record(plan)
    status = write_plan_status(
        PlanRecord(record.plan, progress),
        plan.status,
        generation=1,
        executor={"holder": "h", "fence": 3},
        now_s=5.0,
    )
    again = to_plan_record(PlacementPlan.read({"metadata": META, "spec": SPEC, "status": status}))
    assert again.progress == progress
    assert again.plan == record.plan


def test_a_plan_is_read_whole() -> None:
    record = to_plan_record(PlacementPlan.read({"metadata": META, "spec": SPEC}))
    assert record.plan.created_s == 1_767_323_045.0
    first = record.plan.moves[0]
    assert (first.uid, first.source, first.target, first.gpus) == ("u0", "x", "y", 2)
    assert first.owner is not None
    assert first.owner.uid == "rs"
    assert not first.surges
