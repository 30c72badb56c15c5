"""Measured networks from files: which format a file is in, and its matrices in one form."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.types import FloatArray, IntArray

CORPORA = Path(__file__).with_name("corpora") / "network"
BUNDLED_LATENCY = CORPORA / "skyplane_latency_ms.csv.gz"
BUNDLED = (
    CORPORA / "seattle_rtt_s.csv.gz",
    CORPORA / "planetlab_rtt_ms_slice1.csv.gz",
    CORPORA / "planetlab_rtt_ms_slice9.csv.gz",
    BUNDLED_LATENCY,
    CORPORA / "skyplane_throughput_2022-01.csv.gz",
)
MS_PER_S = 1000.0
BELOW_RESOLUTION_MS = 5.0
"""What 0 means where times have two decimals of a second."""

SEATTLE_SLICE_S = 63.0

Format = Literal["slices", "matrix", "latency", "throughput"]

AREAS = (
    ("southamerica", "south-america"), ("sa-", "south-america"), ("brazil", "south-america"),
    ("africa", "africa"), ("af-", "africa"),
    ("australia", "oceania"), ("southeast-2", "oceania"),
    ("europe", "europe"), ("eu-", "europe"), ("uk", "europe"), ("france", "europe"),
    ("germany", "europe"), ("norway", "europe"), ("swiss", "europe"), ("sweden", "europe"),
    ("me-", "middle-east"), ("uae", "middle-east"), ("qatar", "middle-east"),
    ("asia", "asia"), ("ap-", "asia"), ("japan", "asia"), ("korea", "asia"), ("india", "asia"),
    ("us", "north-america"), ("ca", "north-america"), ("northamerica", "north-america"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One network in time.

    Args:
        name: of the case.
        nodes: names.
        rtt_ms: shape ``(slices, nodes, nodes)``, NaN where unknown.
        mbps: bandwidth, same shape, or ``None``.
        slice_s: how long a slice lasts; ``inf`` when slices are far apart in time.
        places: topology codes, or ``None`` where nothing tells.
        early: how many of the slices are for training alone, the others judge; 0 when nobody said.
    """

    name: str
    nodes: tuple[str, ...]
    rtt_ms: FloatArray
    mbps: FloatArray | None
    slice_s: float
    places: IntArray | None
    early: int = 0


def read_networks(paths: Sequence[Path]) -> list[Measured]:
    """Return the networks that files describe; several of one kind are later times of the same.

    Raises:
        BadInputError: a file is in none of the formats.
    """
    found: dict[Format, list[tuple[Path, list[list[str]]]]] = {}
    for path in paths:
        rows = _read_rows(path)
        found.setdefault(_format_of(path, rows), []).append((path, rows))
    networks = [_slices(path, rows) for path, rows in found.get("slices", [])]
    networks += _matrices(found.get("matrix", []))
    if "throughput" in found:
        latency = found.get("latency") or [(BUNDLED_LATENCY, _read_rows(BUNDLED_LATENCY))]
        networks.append(_regions(latency[-1], found["throughput"]))
    elif "latency" in found:
        networks.append(_regions(found["latency"][-1], []))
    return networks


def join_later(
    networks: Sequence[Measured], later: Sequence[Measured], train_slices: int = 0
) -> list[Measured]:
    """Return networks whose first slices train and whose later ones judge.

    Args:
        networks: measured first.
        later: the same networks measured later; none leaves a network's own last slices.
        train_slices: how many slices of a network train, 0 for all that have something later, or
            for a share of those that have not.

    Raises:
        BadInputError: a later network has no earlier one with the same nodes, or too few slices.
    """
    joined = [_limit(network, train_slices) for network in networks]
    for after in later:
        match = [k for k, before in enumerate(joined) if _same_nodes(before, after)]
        if not match:
            message = f"{after.name} has no network of the same nodes to train on; give it as well"
            raise BadInputError(message, field="--test-files")
        joined[match[0]] = _append(joined[match[0]], after, train_slices)
    return joined


def _limit(network: Measured, train_slices: int) -> Measured:
    if train_slices >= len(network.rtt_ms) > 1:
        message = f"{network.name} has {len(network.rtt_ms)} slices; leave some to judge"
        raise BadInputError(message, field="--train-slices")
    return replace(network, early=train_slices if len(network.rtt_ms) > 1 else 0)


def _same_nodes(before: Measured, after: Measured) -> bool:
    alike = (before.mbps is None) == (after.mbps is None)
    common = len(set(before.nodes) & set(after.nodes))
    return alike and common >= 4 and before.slice_s == after.slice_s


def _append(before: Measured, after: Measured, train_slices: int) -> Measured:
    """Return one network of the nodes that both have, the later slices at the end."""
    nodes = tuple(node for node in before.nodes if node in set(after.nodes))
    first = train_slices or len(before.rtt_ms)

    def joined(name: str) -> FloatArray:
        parts = []
        for network, stop in ((before, first), (after, len(after.rtt_ms))):
            rows = np.array([network.nodes.index(node) for node in nodes])
            parts.append(getattr(network, name)[np.ix_(np.arange(stop), rows, rows)])
        return np.concatenate(parts)

    rows = [before.nodes.index(node) for node in nodes]
    return replace(
        before,
        nodes=nodes,
        rtt_ms=joined("rtt_ms"),
        mbps=None if before.mbps is None else joined("mbps"),
        places=None if before.places is None else before.places[rows],
        early=first,
    )


def _read_rows(path: Path) -> list[list[str]]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise BadInputError(f"{path} cannot be read ({error}); give CSV or CSV.gz") from None
    return [row for row in csv.reader(io.StringIO(text)) if row]


def _format_of(path: Path, rows: Sequence[Sequence[str]]) -> Format:
    header = rows[0] if rows else []
    if header[:2] == ["slice", "src"]:
        return "slices"
    if {"src_region", "dst_region"} <= set(header):
        if "throughput_sent_mbps" in header:
            return "throughput"
        if "avg_rtt" in header:
            return "latency"
    elif len(rows) == len(header) > 1:
        return "matrix"
    raise BadInputError(
        f"{path} is no network; give rows slice,src,d0,..., a square matrix in ms, or region "
        "pairs with avg_rtt or throughput_sent_mbps"
    )


def _slices(path: Path, rows: list[list[str]]) -> Measured:
    table = _numbers(path, rows[1:])
    size = table.shape[1] - 2
    if len(table) % size:
        raise BadInputError(f"{path}: {len(table)} rows are no whole slices of {size} nodes")
    rtt_ms = table[:, 2:].reshape(-1, size, size) * MS_PER_S
    rtt_ms = np.where(rtt_ms == 0, BELOW_RESOLUTION_MS, rtt_ms)
    nodes = tuple(f"host-{k}" for k in range(size))
    return Measured(_stem(path), nodes, rtt_ms, None, SEATTLE_SLICE_S, None)


def _matrices(files: Sequence[tuple[Path, list[list[str]]]]) -> Iterable[Measured]:
    if not files:
        return
    tables = [_numbers(path, rows) for path, rows in files]
    if len({table.shape for table in tables}) > 1:
        raise BadInputError("matrices of one network must have the same size")
    nodes = tuple(f"host-{k}" for k in range(len(tables[0])))
    yield Measured(_stem(files[0][0]), nodes, np.stack(tables), None, float("inf"), None)


def _regions(
    latency: tuple[Path, list[list[str]]], throughput: Sequence[tuple[Path, list[list[str]]]]
) -> Measured:
    rtt = _pairs(latency, "avg_rtt")
    rates = [_pairs(file, "throughput_sent_mbps") for file in throughput]
    common = set.intersection(*({end for pair in known for end in pair} for known in (rtt, *rates)))
    nodes = _without_holes(sorted(common), (rtt, *rates))
    if len(nodes) < 4:
        raise BadInputError("fewer than 4 regions are in all files with most of their pairs")
    matrix = _square(nodes, rtt)
    areas = [_area(node) for node in nodes]
    codes = {area: code for code, area in enumerate(sorted(set(areas)))}
    slices = max(len(rates), 1)
    return Measured(
        _stem(throughput[0][0]) if throughput else _stem(latency[0]),
        nodes,
        np.repeat(matrix[None], slices, axis=0),
        np.stack([_square(nodes, known) for known in rates]) if rates else None,
        float("inf"),
        np.array([[codes[area]] for area in areas]),
    )


def _pairs(file: tuple[Path, list[list[str]]], column: str) -> dict[tuple[str, str], float]:
    path, rows = file
    header = rows[0]
    at = {name: header.index(name) for name in ("src_region", "dst_region", column)}
    tiers = [k for k, name in enumerate(header) if name.endswith("_tier")]
    pairs: dict[tuple[str, str], float] = {}
    for line, row in enumerate(rows[1:], start=2):
        if any(row[tier] != "PREMIUM" for tier in tiers):
            continue
        try:
            pairs[row[at["src_region"]], row[at["dst_region"]]] = float(row[at[column]])
        except (ValueError, IndexError):
            message = f"{path} line {line}: {column} is no number; leave failed probes out"
            raise BadInputError(message) from None
    return pairs


def _without_holes(
    nodes: list[str], tables: Sequence[Mapping[tuple[str, str], float]]
) -> tuple[str, ...]:
    """Return the nodes without those that lack most pairs, one after the other."""
    left = list(nodes)
    while len(left) > 2:
        holes = {
            node: sum(
                (node, other) not in known or (other, node) not in known
                for known in tables
                for other in left
                if other != node
            )
            for node in left
        }
        worst = max(left, key=holes.__getitem__)
        if holes[worst] <= 0.1 * len(left) * len(tables):
            break
        left.remove(worst)
    return tuple(left)


def _square(nodes: Sequence[str], pairs: Mapping[tuple[str, str], float]) -> FloatArray:
    return np.array([[pairs.get((a, b), np.nan) for b in nodes] for a in nodes])


def _area(region: str) -> str:
    name = region.split(":", maxsplit=1)[-1]
    return next((area for part, area in AREAS if part in name), name)


def _numbers(path: Path, rows: Sequence[Sequence[str]]) -> FloatArray:
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError:
        message = f"{path} holds rows of different lengths or text; give numbers"
        raise BadInputError(message) from None


def _stem(path: Path) -> str:
    return path.name.split(".", maxsplit=1)[0].split("_", maxsplit=1)[0]
