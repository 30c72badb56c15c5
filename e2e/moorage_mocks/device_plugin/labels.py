"""The node labels that NVIDIA's feature discovery would write."""

from __future__ import annotations

from collections.abc import Mapping

from moorage_crds.names import GPU_PRODUCT_LABEL
from moorage_mocks.device_plugin.board import Board

_PREFIX = "nvidia.com/gpu."
_KEYS = (
    "present",
    "count",
    "memory",
    "family",
    "compute.major",
    "compute.minor",
    "replicas",
    "sharing-strategy",
    "machine",
)


def discovered_labels(board: Board) -> dict[str, str | None]:
    """Return the value of every label of feature discovery; ``None`` for one that must go."""
    labels: dict[str, str | None] = dict.fromkeys((GPU_PRODUCT_LABEL, *map(_PREFIX.__add__, _KEYS)))
    if not board.gpus:
        return labels
    product = board.product
    major, minor = product.compute
    values = (
        "true",
        str(len(board.gpus)),
        str(product.memory_mib),
        product.family or None,
        str(major),
        str(minor),
        "1",
        "none",
        "mock",
    )
    return {
        **labels,
        GPU_PRODUCT_LABEL: product.name,
        **{_PREFIX + key: value for key, value in zip(_KEYS, values, strict=True)},
    }


def changed_labels(board: Board, labels: Mapping[str, str]) -> dict[str, str | None]:
    """Return what must be patched into a node's labels; empty when they are right."""
    wanted = discovered_labels(board)
    return {key: value for key, value in wanted.items() if labels.get(key) != value}
