"""Instances as documents: our own form, and the snapshots of published VM rescheduling traces.

Own form (``"format": "moorage-rescheduling/1"``)::

    {"format": "moorage-rescheduling/1", "resources": ["cpu", "memory"], "maxMoves": 50,
     "holes": [{"name": "cpu-16", "requests": {"cpu": 16}, "weight": 1}],
     "hosts": [{"name": "h0", "domain": "rack-1", "group": "a",
                "cells": [{"cpu": 44, "memory": 184388}, {"cpu": 44, "memory": 184388}]}],
     "items": [{"name": "vm-1", "host": "h0", "cell": 1, "requests": {"cpu": 4, "memory": 8192},
                "wide": false, "movable": true, "price": 0, "owner": "web"}],
     "apart": [{"level": "host", "items": ["vm-1", "vm-2"]}]}

``requests`` of a wide item are its whole amounts; half of them is taken of each cell. Items stay
within hosts of their ``group``; ``apart`` names items of which one may sit on a host or domain.

Snapshots list clusters with ``host_info`` (each host with its NUMA nodes) and ``vm_instance``; see
``read_snapshot``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.packing.instance import Limit
from moorage_policies.rescheduling.instance import Hole, Instance, make_instance

FORMAT = "moorage-rescheduling/1"
SNAPSHOT_HOLE = 16
PAIR = 2  # NUMA halves of a host
Document = Mapping[str, Any]


@dataclass
class _Host:
    name: str
    domain: str
    group: str
    cells: list[list[int]]


@dataclass
class _Item:
    name: str
    host: str
    cell: int
    requests: list[int]
    wide: bool = False
    movable: bool = True
    price: float = 0.0


@dataclass
class _Draft:
    resources: tuple[str, ...]
    holes: tuple[Hole, ...]
    hosts: list[_Host] = field(default_factory=list)
    items: list[_Item] = field(default_factory=list)
    apart: list[tuple[str, list[str]]] = field(default_factory=list)


def read_document(document: Document, *, max_moves: int | None = None) -> Instance:
    """Return the instance that a parsed JSON document describes.

    Args:
        document: our form or a snapshot.
        max_moves: most moves; ``None`` takes the document's own, 50 where it has none.

    Raises:
        BadInputError: something is missing or does not fit; names the field.
    """
    if not isinstance(document, Mapping):
        raise BadInputError("must be a JSON object", field="document")
    try:
        draft = _read_snapshot(document) if "cluster_list" in document else _read_own(document)
    except KeyError as error:
        raise BadInputError(
            "is missing; see the form in the documentation", field=str(error.args[0])
        ) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInputError(
            f"does not have the documented form: {error}", field="document"
        ) from error
    asked = document.get("maxMoves", 50) if max_moves is None else max_moves
    return _to_instance(draft, int(asked))


def _read_own(document: Document) -> _Draft:
    if document.get("format") != FORMAT:
        raise BadInputError(f'must be "{FORMAT}", or the document a snapshot', field="format")
    resources = tuple(document["resources"])
    holes = tuple(
        Hole(
            str(hole.get("name", index)),
            np.array(_amounts(hole["requests"], resources), dtype=np.int64),
            float(hole.get("weight", 1.0)),
        )
        for index, hole in enumerate(document["holes"])
    )
    draft = _Draft(resources, holes)
    for host in document["hosts"]:
        cells = [_amounts(cell, resources) for cell in host["cells"]]
        draft.hosts.append(
            _Host(host["name"], str(host.get("domain", "")), str(host.get("group", "")), cells)
        )
    for item in document["items"]:
        wide = bool(item.get("wide", False))
        need = _amounts(item["requests"], resources)
        draft.items.append(
            _Item(
                item["name"],
                item["host"],
                int(item.get("cell", 0)),
                [-(-amount // 2) for amount in need] if wide else need,
                wide,
                bool(item.get("movable", True)),
                float(item.get("price", 0.0)),
            )
        )
    draft.apart = [(rule["level"], list(rule["items"])) for rule in document.get("apart", ())]
    return draft


def _amounts(given: Mapping[str, float], resources: Sequence[str]) -> list[int]:
    strange = sorted(set(given) - set(resources))
    if strange:
        raise BadInputError(f"names {strange[0]}; add it to resources", field="requests")
    return [round(given.get(name, 0)) for name in resources]


def _read_snapshot(document: Document) -> _Draft:
    """Read a snapshot: hosts in clusters between which nothing moves, sets to be kept apart."""
    hole = Hole(f"cpu-{SNAPSHOT_HOLE}", np.array([SNAPSHOT_HOLE, 0]))
    draft = _Draft(("cpu", "memory"), (hole,))
    for cluster in document["cluster_list"]:
        group = str(cluster["cluster_name"])
        active = set()
        for host in cluster["host_info"]:
            halves = sorted(host["numa"], key=lambda half: int(half["node"]))
            cells = [[round(n["total_cpu"]), int(n["memory_huge_total_mb"])] for n in halves]
            name = f"{group}/{host['node_id']}"
            draft.hosts.append(_Host(name, f"{group}/{host.get('rack_id', '')}", group, cells))
            if host.get("status", "ACTIVE") == "ACTIVE":
                active.add(name)
        draft.items += [_read_vm(vm, group, active) for vm in cluster["vm_instance"]]
        for rule in cluster.get("other_requirement", {}).get("deployment_set", ()):
            level = "host" if rule["granularity"] == "host" else "domain"
            draft.apart.append((level, [f"{group}/{name}" for name in rule["data"]]))
    return draft


def _read_vm(vm: Document, group: str, active: set[str]) -> _Item:
    sides = vm["numa"]
    host = f"{group}/{vm['host_id']}"
    wide = len(sides) == PAIR
    need = [max(round(side["cpu"]) for side in sides), max(int(side["mem_mb"]) for side in sides)]
    return _Item(
        f"{group}/{vm['instance_id']}",
        host,
        0 if wide else int(sides[0]["node"]),
        need,
        wide,
        bool(vm.get("allow_migration", True)) and host in active,
    )


def _to_instance(draft: _Draft, max_moves: int) -> Instance:
    index = {host.name: row for row, host in enumerate(draft.hosts)}
    if len(index) != len(draft.hosts):
        raise BadInputError("two hosts have one name; rename one", field="hosts")
    counts = [len(host.cells) for host in draft.hosts]
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    groups = sorted({host.group for host in draft.hosts})
    cell_group = np.repeat([groups.index(host.group) for host in draft.hosts], counts)
    home = np.array([_home_of(item, index, counts, first) for item in draft.items], dtype=np.int64)
    domains = sorted({host.domain for host in draft.hosts})
    domain = np.array([domains.index(host.domain) for host in draft.hosts], dtype=np.int64)
    cell_host = np.repeat(np.arange(len(draft.hosts)), counts).astype(np.int64)
    return make_instance(
        resources=draft.resources,
        hosts=tuple(host.name for host in draft.hosts),
        cell_host=cell_host,
        capacity=np.array([cell for host in draft.hosts for cell in host.cells], dtype=np.int64),
        items=tuple(item.name for item in draft.items),
        requests=np.array([item.requests for item in draft.items], dtype=np.int64).reshape(
            len(draft.items), len(draft.resources)
        ),
        wide=np.array([item.wide for item in draft.items], dtype=np.bool_),
        home=home,
        movable=np.array([item.movable for item in draft.items], dtype=np.bool_),
        kind=cell_group[home].astype(np.int64),
        eligible=np.array([cell_group == row for row in range(len(groups))], dtype=np.bool_),
        price=np.array([item.price for item in draft.items], dtype=np.float64),
        limits=tuple(_limits(draft, cell_host, domain)),
        holes=draft.holes,
        max_moves=max_moves,
    )


def _home_of(
    item: _Item, index: Mapping[str, int], counts: Sequence[int], first: np.ndarray
) -> int:
    row = index.get(item.host)
    if row is None:
        raise BadInputError(f"{item.host!r} is no host", field=f"items[{item.name}].host")
    if item.wide and counts[row] != PAIR:
        raise BadInputError("needs a host with two cells", field=f"items[{item.name}].wide")
    if not 0 <= item.cell < counts[row]:
        raise BadInputError(
            f"must be below {counts[row]}, the cells of {item.host}",
            field=f"items[{item.name}].cell",
        )
    return int(first[row]) + (0 if item.wide else item.cell)


def _limits(draft: _Draft, cell_host: np.ndarray, domain: np.ndarray) -> list[Limit]:
    rows = {item.name: row for row, item in enumerate(draft.items)}
    found = []
    for number, (level, names) in enumerate(draft.apart):
        strange = next((name for name in names if name not in rows), None)
        if strange is not None:
            raise BadInputError(f"{strange!r} is no item", field=f"apart[{number}].items")
        of_cell = cell_host if level == "host" else domain[cell_host]
        members = np.array([rows[name] for name in names], dtype=np.int64)
        room = np.ones(int(of_cell.max(initial=0)) + 1, dtype=np.int64)
        found.append(Limit(f"apart-{number}", members, of_cell, room))
    return found
