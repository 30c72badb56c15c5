"""Accelerator classes: declared by an admin, else read from GPU-feature-discovery labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from moorage_policies.types import NVIDIA_GPU, AcceleratorClass, Node

PRODUCT_LABEL = "nvidia.com/gpu.product"
MEMORY_LABEL = "nvidia.com/gpu.memory"

NOMINAL_SIZES_GB = (8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 94, 96, 128, 141, 180, 192, 288)
"""Memory sizes that accelerators are sold with."""

_VENDORS = frozenset({"NVIDIA", "TESLA", "QUADRO", "AMD", "INTEL"})
_BARE_FORM = re.compile(r"SXM\d*|HBM\d*E?|OAM", re.IGNORECASE)
_SIZE = re.compile(r"(\d+)GB", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The accelerator classes of a cluster by name.

    Args:
        classes: classes that a pool may name.
        ambiguous: derived names that several products share, with those products; such a name
            selects nothing, because choosing one product could move running replicas later.
        products: full product labels seen on nodes; each is a class name of its own.
    """

    classes: Mapping[str, AcceleratorClass] = field(default_factory=dict)
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    products: frozenset[str] = frozenset()

    def find(self, name: str) -> AcceleratorClass | None:
        """Return the class of this name or full product label, ``None`` when there is none."""
        if name in self.classes:
            return self.classes[name]
        return of_product(name, name) if name in self.products else None

    def explain_missing(self, name: str) -> str:
        """Return why ``find`` has no class of this name and what to write instead."""
        if name in self.ambiguous:
            products = ", ".join(self.ambiguous[name])
            return (
                f"'{name}' could be any of the products {products}; write the full product, or "
                "name a class in a PlacementPolicy (spec.acceleratorClasses)"
            )
        known = ", ".join(sorted(self.classes)) or "none: no node carries " + PRODUCT_LABEL
        return (
            f"this cluster has no accelerator class '{name}' (known: {known}); use a known class "
            "or add it to a PlacementPolicy (spec.acceleratorClasses)"
        )


def build_catalog(declared: Iterable[AcceleratorClass], nodes: Iterable[Node]) -> Catalog:
    """Return declared classes together with those derived from the labels of nodes.

    A declared class replaces a derived one of the same name.
    """
    named: dict[str, set[str]] = {}
    products: set[str] = set()
    for node in nodes:
        product = node.labels.get(PRODUCT_LABEL)
        if product:
            products.add(product)
            name = class_name(product, _memory_mib(node.labels))
            named.setdefault(name, set()).add(product)
    unique = {n: of_product(n, *found) for n, found in named.items() if len(found) == 1}
    own = {accelerator.name: accelerator for accelerator in declared}
    shared = {n: tuple(sorted(f)) for n, f in named.items() if len(f) > 1 and n not in own}
    return Catalog({**unique, **own}, shared, frozenset(products))


def class_name(product: str, memory_mib: int | None = None) -> str:
    """Return the short class name of a product label, such as ``H100-80GB``.

    Vendor, memory technology and the SXM or OAM form are dropped, every other word is kept
    (``PCIe``, ``NVL``, MIG slices, ``SHARED``). The memory size comes second: the product's own
    figure, else the nominal size next above what the node reports.

    Args:
        product: value of ``nvidia.com/gpu.product``.
        memory_mib: value of ``nvidia.com/gpu.memory``, MiB per device; ``None`` when unknown.
    """
    words = [word for word in product.split("-") if word.upper() not in _VENDORS]
    kept = [word for word in words if not _BARE_FORM.fullmatch(word)]
    if not kept:
        return product
    size = next((word for word in kept[1:] if _SIZE.fullmatch(word)), None)
    rest = [word for word in kept[1:] if word is not size]
    if size is None and memory_mib:
        size = f"{nominal_gb(memory_mib)}GB"
    return "-".join([kept[0], *([size] if size else []), *rest])


def nominal_gb(memory_mib: int) -> int:
    """Return the size a device is sold with: the smallest nominal one that holds its memory."""
    gib = memory_mib / 1024
    return next((size for size in NOMINAL_SIZES_GB if size >= gib), round(gib))


def _memory_mib(labels: Mapping[str, str]) -> int | None:
    text = labels.get(MEMORY_LABEL, "")
    return int(text) if text.isascii() and text.isdigit() else None


def of_product(name: str, product: str) -> AcceleratorClass:
    """Return the class of all nodes that carry one product label."""
    return AcceleratorClass(name, {PRODUCT_LABEL: product}, NVIDIA_GPU)
