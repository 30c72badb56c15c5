"""Which nodes a hint's words mean: kinds, places, labels, GPU models, domains."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from moorage_policies.hints.canonical import canonical_key, name_words
from moorage_policies.state import ABSENT, LabelColumn, NodeTable, Snapshot
from moorage_policies.types import NVIDIA_GPU, BoolArray, FloatArray, IntArray

AMD_GPU = "amd.com/gpu"
_TRUE = ("true", "yes", "1", "")

TOPOLOGY_KEYS: dict[str, tuple[str, ...]] = {
    "zone": ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
    "region": ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
    "hostname": ("kubernetes.io/hostname",),
    "rack": ("topology.kubernetes.io/rack", "cloud.provider.com/topology-rack", "rack"),
    "switch": (
        "fabric.topograph.run/tier-0",
        "network.topology.nvidia.com/leaf",
        "topology.k8s.aws/network-node-layer-3",
        "cloud.google.com/gce-topology-subblock",
        "switch",
    ),
    "nvlink": (
        "nvidia.com/gpu.clique",
        "accelerator.topograph.run/domain",
        "network.topology.nvidia.com/accelerator",
    ),
    "instance-type": ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"),
    "pool": (
        "cloud.google.com/gke-nodepool",
        "eks.amazonaws.com/nodegroup",
        "karpenter.sh/nodepool",
        "agentpool",
        "kubernetes.azure.com/agentpool",
        "node-pool",
        "nodepool",
        "pool",
    ),
}
"""Label keys behind each short name, best first."""

_FEATURES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "spot": (
        ("karpenter.sh/capacity-type", ("spot",)),
        ("eks.amazonaws.com/capacitytype", ("spot",)),
        ("eks.amazonaws.com/capacityType", ("spot",)),
        ("cloud.google.com/gke-spot", ("true",)),
        ("cloud.google.com/gke-preemptible", ("true",)),
        ("kubernetes.azure.com/scalesetpriority", ("spot",)),
        ("node.kubernetes.io/lifecycle", ("spot", "preemptible")),
    ),
    "on-demand": (
        ("karpenter.sh/capacity-type", ("on-demand", "reserved")),
        ("eks.amazonaws.com/capacityType", ("on_demand",)),
        ("kubernetes.azure.com/scalesetpriority", ("regular",)),
        ("node.kubernetes.io/lifecycle", ("on-demand", "normal")),
    ),
    "arm64": (("kubernetes.io/arch", ("arm64",)),),
    "amd64": (("kubernetes.io/arch", ("amd64",)),),
    "linux": (("kubernetes.io/os", ("linux",)),),
    "windows": (("kubernetes.io/os", ("windows",)),),
    "ssd": (("cloud.google.com/gke-local-ssd", ("true",)),),
    "nvme": (("feature.node.kubernetes.io/storage-nonrotationaldisk", ("true",)),),
    "infiniband": (("feature.node.kubernetes.io/rdma.capable", ("true",)),),
    "control-plane": (
        ("node-role.kubernetes.io/control-plane", ("", "true")),
        ("node-role.kubernetes.io/master", ("", "true")),
    ),
}
_KIND_KEYS = (
    *TOPOLOGY_KEYS["pool"],
    "tier",
    "type",
    "role",
    "class",
    "workload",
    "purpose",
    "env",
    "environment",
    "disktype",
    "storage",
    "network",
    "interconnect",
    "node-type",
    "moorage.dev/node-kind",
)
"""Keys whose values name kinds of node ("gold nodes": ``tier=gold``)."""

_FAMILIES = {
    "hopper": {"h100", "h200", "gh200", "h800", "h20"},
    "blackwell": {"b100", "b200", "b300", "gb200", "gb300"},
    "ampere": {"a100", "a800", "a10", "a10g", "a16", "a2", "a30", "a40", "a6000"},
    "ada": {"l4", "l40", "l40s", "4090", "l20"},
    "lovelace": {"l4", "l40", "l40s", "4090", "l20"},
    "volta": {"v100"},
    "turing": {"t4"},
    "pascal": {"p100", "p40", "p4"},
}
_PRODUCT_KEYS = (
    "nvidia.com/gpu.product",
    "amd.com/gpu.product-name",
    "moorage.dev/accelerator-class",
    "cloud.google.com/gke-accelerator",
    "nvidia.com/gpu.family",
)


def values_mask(column: LabelColumn, accepts: Callable[[str], bool]) -> BoolArray:
    """Return which nodes carry a value that is accepted, shape ``(nodes,)``."""
    flags = np.array([*(accepts(value) for value in column.values), False])
    mask: BoolArray = flags[column.codes]  # ABSENT is -1: the last flag
    return mask


def _one_of(values: tuple[str, ...]) -> Callable[[str], bool]:
    return lambda value: value.casefold() in values


def label_numbers(key: str, table: NodeTable) -> FloatArray | None:
    """Return the number that a label holds on each node, NaN without; ``None`` if no node says."""
    column = table.label(key)
    numbers = np.array([*(_number(value) for value in column.values), np.nan])
    return None if np.isnan(numbers).all() else numbers[column.codes]


def _number(value: str) -> float:
    plain = re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", value)
    return float(value) if plain else np.nan


def domain_codes(table: NodeTable, key: str) -> IntArray | None:
    """Return the domain of each node, ``ABSENT`` where unknown; ``None`` if no node says it."""
    if key == "hostname":
        return np.arange(len(table), dtype=np.int64)
    for label in TOPOLOGY_KEYS.get(key, (key,)):
        codes = table.label(label).codes
        if (codes != ABSENT).any():
            return codes
    return None


def label_mask(target: str, snapshot: Snapshot) -> BoolArray | None:
    """Return which nodes are of that kind or place; ``None`` when no label tells."""
    if "=" in target:
        key, _, value = target.partition("=")
        return _selector_mask(canonical_key(key), key, value.lstrip("="), snapshot.table)
    if target == "gpu":
        return _gpus(snapshot, NVIDIA_GPU) | _gpus(snapshot, AMD_GPU)
    return _kind_mask(target, snapshot.table)


def accelerator_mask(target: str, snapshot: Snapshot) -> BoolArray | None:
    """Return which nodes carry that GPU; ``None`` when no node says what it carries."""
    if target == "nvidia":
        return _gpus(snapshot, NVIDIA_GPU)
    if target == "amd":
        return _gpus(snapshot, AMD_GPU)
    columns = [snapshot.table.label(key) for key in _PRODUCT_KEYS]
    known = [column for column in columns if column.values]
    if not known:
        return None
    words = tuple(target.split("-"))
    masks = [values_mask(column, lambda value: _is_product(words, value)) for column in known]
    mask: BoolArray = np.logical_or.reduce(masks)
    return mask


def _is_product(words: tuple[str, ...], product: str) -> bool:
    parts = set(re.split(r"[-_ /]", product.casefold()))
    models = _FAMILIES.get(words[0])
    if models is not None:
        return words[0] in parts or bool(parts & models)
    return all(word in parts or any(part.startswith(word) for part in parts & _FORMS)
               for word in words)  # fmt: skip


_FORMS = {"sxm", "sxm2", "sxm3", "sxm4", "sxm5", "pcie", "nvl", "hgx"}


def _gpus(snapshot: Snapshot, resource: str) -> BoolArray:
    if resource not in snapshot.resources:
        return np.zeros(len(snapshot.nodes), dtype=np.bool_)
    mask: BoolArray = snapshot.allocatable[:, snapshot.resources.index(resource)] > 0
    return mask


def _selector_mask(short: str, key: str, value: str, table: NodeTable) -> BoolArray | None:
    wanted = {value, value.removeprefix(f"{short}-")}
    for label in TOPOLOGY_KEYS.get(short, (key,)):
        column = table.label(label)
        if column.values:
            return values_mask(column, lambda have: _same_place(short, have.casefold(), wanted))
    return None


def _same_place(short: str, have: str, wanted: set[str]) -> bool:
    """Return whether a label's value is meant; "zone b" also means ``us-east-1b``."""
    if have in wanted or have.removeprefix(f"{short}-") in wanted:
        return True
    letter = next((w for w in wanted if len(w) == 1), None)
    return short == "zone" and letter is not None and re.search(rf"\d-?{letter}$", have) is not None


def _kind_mask(target: str, table: NodeTable) -> BoolArray | None:
    """Return which nodes are of a kind; ``None`` when no label could tell."""
    words = name_words(target)
    told = [
        values_mask(table.label(key), _one_of(values))
        for key, values in _FEATURES.get(target, ())
        if table.label(key).values
    ]
    guessed = [
        values_mask(table.label(key), _one_of(_TRUE))
        for key in (target, f"node-role.kubernetes.io/{target}", f"moorage.dev/{target}")
    ]
    guessed += [
        values_mask(table.label(key), lambda value: name_words(value.casefold()) == words)
        for key in _KIND_KEYS
    ]
    told += [mask for mask in guessed if mask.any()]
    return np.logical_or.reduce(told) if told else None
