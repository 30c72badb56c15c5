from __future__ import annotations

import numpy as np
import pytest

from moorage_policies.scoring import Interference
from moorage_policies.state import Snapshot
from moorage_policies.testing import make_node, make_pod, make_snapshot
from moorage_policies.types import Pod

ROLE, CLASS = "moorage.dev/role", "moorage.dev/workload-class"
SLOWDOWNS = {("decode", "batch"): 1.5, ("batch", "decode"): 1.25, ("decode", "decode"): 1.1}


def _pod(name: str, node: str | None = None, **labels: str) -> Pod:
    keys = {"role": ROLE, "workload": CLASS}
    return make_pod(name, node=node, labels={keys[key]: value for key, value in labels.items()})


def _cluster() -> Snapshot:
    return make_snapshot(
        [make_node("batch"), make_node("decode"), make_node("quiet")],
        [
            _pod("b1", "batch", workload="batch"),
            # its own class beats its role
            _pod("b2", "batch", workload="batch", role="decode"),
            _pod("d", "decode", role="decode"),
            _pod("other", "quiet", role="unknown"),
        ],
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        # two neighbours at 0.5 + 0.25 each, one at 0.1 twice, none that matters
        pytest.param({"role": "decode"}, [1 / 2.5, 1 / 1.2, 1.0], id="both-ways"),
        # beside decode: what batch loses to it and it to batch; batch does not disturb batch
        pytest.param({"workload": "batch"}, [1.0, 1 / 1.75, 1.0], id="the-other-side"),
    ],
)
def test_slowdowns_add_up(labels: dict[str, str], expected: list[float]) -> None:
    snapshot = _cluster()
    rows = np.array([snapshot.node_index[name] for name in ("batch", "decode", "quiet")])
    score = Interference(SLOWDOWNS).score(_pod("new", **labels), snapshot, rows)
    np.testing.assert_allclose(score, expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [{}, {"role": "unknown"}], ids=["no-class", "unknown-class"])
def test_abstains_about_classes_without_figures(labels: dict[str, str]) -> None:
    assert Interference(SLOWDOWNS).score(_pod("new", **labels), _cluster(), np.arange(3)) is None
