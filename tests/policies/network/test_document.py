from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from moorage_policies.errors import BadInputError
from moorage_policies.network.document import MAX_BYTES, digest, read, write
from moorage_policies.network.fit import Training
from moorage_policies.network.model import Predictor
from moorage_policies.network.runs import Trial


def test_a_model_says_the_same_after_a_round_trip(training: Training, trials: list[Trial]) -> None:
    text = write(training.model)
    again = read(text.encode(), expected_digest=digest(text))
    assert write(again) == text
    for trial in trials[:20]:
        before = Predictor(training.model).predict(trial.view, trial.job, trial.rows)
        after = Predictor(again).predict(trial.view, trial.job, trial.rows)
        np.testing.assert_array_equal(before.log_s, after.log_s)


def test_another_digest_is_refused_before_anything_is_parsed() -> None:
    with pytest.raises(BadInputError, match="pin the one you trust"):
        read(b"{", expected_digest=digest("other"))


def _set(document: dict[str, Any], path: str, value: Any) -> None:
    *way, last = path.split(".")
    for step in way:
        document = document[step]
    document[last] = value


LOOP = {"feature": [0, -1, -1], "threshold": [0, 0, 0], "left": [0, 0, 0], "right": [2, 0, 0]}


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        pytest.param("format", "moorage-network/9", "model.format", id="another-format"),
        pytest.param("trees", [{**LOOP, "value": [0, 0, 0]}], "model.trees", id="a-cycle"),
        pytest.param("trees", [{}] * 501, "model.trees", id="too-many-trees"),
        pytest.param("trees", ["x"], "model.trees", id="text-for-a-tree"),
        pytest.param("costs", {"compute": -1.0}, "model.costs", id="a-negative-cost"),
        pytest.param("costs", {"magic": 1.0}, "model.costs", id="an-unknown-cost"),
        pytest.param("slopes", {"cpu": "1"}, "model.slopes", id="a-slope-of-text"),
        pytest.param("known.whiten", [[1.0]], "model.known.whiten", id="a-small-matrix"),
        pytest.param("known.strangest", None, "model.known.strangest", id="no-limit"),
        pytest.param("known.names", ["n"] * 129, "model.known.names", id="too-many-names"),
        pytest.param("workloads", {"w": {"receiveMib": -1}}, "model.workloads", id="less-than-0"),
        pytest.param("workloads", [], "model.workloads", id="a-list-of-workloads"),
        pytest.param("family", "x" * 301, "model.family", id="a-long-name"),
        pytest.param("evidence", {"x": 1e301}, "model.evidence", id="a-number-beyond-use"),
    ],
)
def test_documents_that_are_no_model_are_refused_with_the_field(
    training: Training, path: str, value: Any, field: str
) -> None:
    document = json.loads(write(training.model))
    _set(document, path, value)
    with pytest.raises(BadInputError) as caught:
        read(json.dumps(document).encode())
    assert caught.value.field.startswith(field)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="no-text"),
        pytest.param(b"[" * 100_000, id="nested-without-end"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b" " * (MAX_BYTES + 1), id="too-large"),
    ],
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(BadInputError):
        read(data)
