from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from moorage_policies.health import HealthParams, NodeRecord, Sign, choose_quarantined, look

PARAMS = HealthParams(grace_s=60, recovery_s=300)
BROKEN = (Sign("DevicesUnhealthy", "1 of 8 are unhealthy"),)
REFUSED = (Sign("PodsRefused", "the kubelet refused 3 pods"),)


def live(*looks: tuple[float, tuple[Sign, ...]]) -> NodeRecord:
    record = NodeRecord()
    for now_s, signs in looks:
        record = look(record, signs, PARAMS, now_s)
    return record


@pytest.mark.parametrize(
    ("looks", "is_sick"),
    [
        pytest.param([(0, BROKEN)], False, id="a-sign-alone-is-not-enough"),
        pytest.param([(0, BROKEN), (60, BROKEN)], True, id="it-holds-for-the-grace"),
        pytest.param([(0, BROKEN), (30, ()), (60, BROKEN)], False, id="a-break-starts-anew"),
        pytest.param([(0, REFUSED)], True, id="refused-pods-were-counted-already"),
        pytest.param([(0, REFUSED), (299, ())], True, id="gone-but-not-for-long-enough"),
        pytest.param([(0, REFUSED), (300, ())], False, id="recovered"),
        pytest.param([(0, REFUSED), (299, BROKEN), (500, ())], True, id="a-sign-starts-it-anew"),
    ],
)
def test_look(looks: list[tuple[float, tuple[Sign, ...]]], is_sick: bool) -> None:
    assert live(*looks).is_sick == is_sick


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=1, max_size=40))
def test_a_node_changes_sides_only_after_grace_or_recovery(
    gaps: list[tuple[float, bool]],
) -> None:
    """An independent reading: the last ``grace`` seconds all bad, or ``recovery`` all good."""
    record, now_s = NodeRecord(), 0.0
    history: list[tuple[float, bool]] = []
    for gap_s, is_bad in gaps:
        now_s += gap_s
        before, record = record, look(record, BROKEN if is_bad else (), PARAMS, now_s)
        history.append((now_s, is_bad))
        run_start_s = now_s
        for at_s, bad in reversed(history):
            if bad != is_bad:
                break
            run_start_s = at_s
        if record.is_sick and not before.is_sick:
            assert is_bad
            assert now_s - run_start_s >= PARAMS.grace_s
        if before.is_sick and not record.is_sick:
            last_bad_s = max(at_s for at_s, bad in history if bad)
            assert not is_bad
            assert now_s - last_bad_s >= PARAMS.recovery_s


def sick(since_s: float, *, quarantined: bool = False) -> NodeRecord:
    return NodeRecord(BROKEN, since_s, since_s, True, quarantined, since_s)


@pytest.mark.parametrize(
    ("records", "nodes", "expected"),
    [
        pytest.param({"a": sick(5)}, 2, {"a"}, id="one-is-always-allowed"),
        pytest.param({"a": sick(5), "b": sick(4)}, 4, {"b"}, id="the-one-sick-for-longest"),
        pytest.param({"a": sick(5), "b": sick(4)}, 8, {"a", "b"}, id="a-quarter"),
        pytest.param(
            {"a": sick(5, quarantined=True), "b": sick(4)}, 4, {"a"}, id="who-is-in-stays-in"
        ),
        pytest.param({"a": NodeRecord(is_quarantined=True)}, 4, set(), id="who-is-well-leaves"),
        pytest.param(
            {"a": sick(1, quarantined=True), "b": sick(2, quarantined=True)},
            4,
            {"a", "b"},
            id="nobody-is-let-out-because-the-cluster-shrank",
        ),
    ],
)
def test_choose_quarantined(records: dict[str, NodeRecord], nodes: int, expected: set[str]) -> None:
    assert choose_quarantined(records, nodes, HealthParams()).value == expected


def test_who_is_held_back_is_said() -> None:
    decision = choose_quarantined({f"n{i}": sick(i) for i in range(8)}, 8, HealthParams())
    assert len(decision.value) == 2
    assert "6 more look sick" in decision.reason
