from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from moorage_cluster.errors import ClusterUnavailableError, Failure, NotFoundError
from moorage_cluster.testing import Heard
from moorage_extender.load_feed import ABSENT_EVERY_S, EVERY_S, LoadFeed
from moorage_policies.scoring.load import Utilisation
from moorage_policies.testing import GIB, make_node, make_snapshot

SNAPSHOT = make_snapshot(
    [make_node("a", cpu_m=10_000, memory=10 * GIB), make_node("b", cpu_m=10_000)]
)


class Api:
    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer

    async def request(self, method: str, path: str) -> bytes:
        assert (method, path) == ("GET", "/apis/metrics.k8s.io/v1beta1/nodes")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def _failure(status: int) -> Failure:
    return Failure("GET", "/apis/metrics.k8s.io/v1beta1/nodes", status, "no")


async def _fetch(answer: bytes | Exception) -> tuple[float, list[Utilisation], list[str]]:
    taken: list[Utilisation] = []
    heard = Heard()
    feed = LoadFeed(Api(answer), lambda: SNAPSHOT, taken.append, lambda: 7.0, heard)
    return await feed.fetch(), taken, [event for event, _ in heard.events]


def _metrics(**usage: dict[str, Any]) -> bytes:
    items = [{"metadata": {"name": name}, "usage": used} for name, used in usage.items()]
    return json.dumps({"kind": "NodeMetricsList", "items": items}).encode()


async def test_a_batch_tells_what_nodes_use_of_what_they_offer() -> None:
    body = _metrics(a={"cpu": "2500m", "memory": "1Gi"}, gone={"cpu": "1", "memory": "1Gi"})
    wait_s, [batch], heard = await _fetch(body)
    assert (wait_s, heard, batch.measured_s, batch.names) == (EVERY_S, [], 7.0, ("a", "b"))
    np.testing.assert_allclose(batch.used_ratio[0], [0.25, 0.1, np.nan, np.nan])
    assert np.isnan(batch.used_ratio[1]).all()


async def test_a_cluster_that_serves_no_metrics_is_asked_rarely() -> None:
    assert await _fetch(NotFoundError(_failure(404))) == (ABSENT_EVERY_S, [], [])


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"<html>", id="no-json"),
        pytest.param(b'{"items": [{"usage": 3}]}', id="another-shape"),
        pytest.param(_metrics(a={"cpu": "plenty"}), id="no-quantity"),
        pytest.param(ClusterUnavailableError(_failure(0)), id="no-answer"),
    ],
)
async def test_what_cannot_be_read_is_reported_and_changes_nothing(
    answer: bytes | Exception,
) -> None:
    wait_s, taken, heard = await _fetch(answer)
    assert (wait_s, taken, heard) == (EVERY_S, [], ["load-failed"])
