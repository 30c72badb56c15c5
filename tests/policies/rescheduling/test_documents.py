"""Snapshots in the published form: halves, groups, who may move, who must stay apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moorage_policies.errors import BadInputError
from moorage_policies.rescheduling.check import find_violations
from moorage_policies.rescheduling.documents import read_document
from moorage_policies.rescheduling.objective import count_holes
from moorage_policies.rescheduling.solve import Params, solve

SNAPSHOT = Path(__file__).with_name("snapshot.json")


@pytest.fixture
def document() -> dict[str, Any]:
    return json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_a_snapshot_gives_hosts_of_two_halves_in_their_order(document: dict[str, Any]) -> None:
    instance = read_document(document)

    assert instance.hosts == ("east/e1", "east/e2", "east/e3", "west/w1")
    assert instance.cell_host.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert instance.capacity[:2].tolist() == [[20, 65536], [24, 98304]]
    assert instance.free(instance.home)[:, 0].tolist() == [12, 20, 18, 16, 18, 20, 44, 40]
    assert count_holes(instance.holes[0], instance.free(instance.home)).sum() == 9
    assert instance.max_moves == 50
    assert read_document(document, max_moves=7).max_moves == 7


def test_a_snapshot_says_who_may_go_where(document: dict[str, Any]) -> None:
    instance = read_document(document)
    rows = {name: row for row, name in enumerate(instance.items)}

    assert instance.wide[rows["east/w"]]
    assert not instance.wide[rows["east/a"]]
    assert not instance.movable[rows["east/c"]]  # not allowed to
    assert not instance.movable[rows["east/d"]]  # its host is not active
    assert instance.movable[rows["west/a"]]
    in_east = instance.eligible[instance.kind[rows["east/a"]]]
    assert np.flatnonzero(in_east).tolist() == [0, 1, 2, 3, 4, 5]
    assert find_violations(instance, [(rows["east/a"], 6)])


def test_a_deployment_set_stays_apart(document: dict[str, Any]) -> None:
    instance = read_document(document)
    rows = {name: row for row, name in enumerate(instance.items)}

    assert find_violations(instance, [(rows["east/b"], 1)])  # beside a
    assert not find_violations(instance, [(rows["east/b"], 5)])
    document["cluster_list"][0]["other_requirement"]["deployment_set"] = []
    assert not find_violations(read_document(document), [(rows["east/b"], 1)])


def test_a_snapshot_can_be_rescheduled(document: dict[str, Any]) -> None:
    instance = read_document(document, max_moves=2)
    solution = solve(instance, Params(deadline_s=0.3))

    assert (solution.worth_before, solution.worth) == (9, 10)
    assert [instance.items[move.item] for move in solution.moves] == ["east/a"]
    assert solution.proven


@pytest.mark.parametrize("field", ["cluster_name", "host_info", "vm_instance"])
def test_a_snapshot_that_lacks_something_is_refused_by_name(
    document: dict[str, Any], field: str
) -> None:
    del document["cluster_list"][0][field]
    with pytest.raises(BadInputError, match=field):
        read_document(document)


def test_a_machine_on_an_unknown_host_is_refused(document: dict[str, Any]) -> None:
    document["cluster_list"][0]["vm_instance"][0]["host_id"] = "gone"
    with pytest.raises(BadInputError, match=r"items\[east/a\]\.host"):
        read_document(document)
