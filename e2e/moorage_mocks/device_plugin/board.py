"""The accelerators that a node pretends to carry, read from its labels and annotations.

Labels say what the node has, annotations what is wrong with it at the moment:

- label ``mock.moorage.dev/gpus``: devices, 0 to 16;
- label ``mock.moorage.dev/product``: what feature discovery would call them;
- label ``mock.moorage.dev/links``: ``switch`` (all linked), ``quads``, ``pairs`` or ``none``;
- annotation ``mock.moorage.dev/faults``: broken devices by index, each with the number of the
  driver error (XID) that it shows, if any: ``0,3=79``;
- annotation ``mock.moorage.dev/refuse-allocations``: ``true`` lets every pod's admission fail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import NAMESPACE_DNS, uuid5

from moorage_policies.errors import BadInputError
from moorage_policies.health import APPLICATION_XIDS

GPUS_LABEL = "mock.moorage.dev/gpus"
PRODUCT_LABEL = "mock.moorage.dev/product"
LINKS_LABEL = "mock.moorage.dev/links"
FAULTS_ANNOTATION = "mock.moorage.dev/faults"
REFUSE_ANNOTATION = "mock.moorage.dev/refuse-allocations"

MAX_GPUS = 16
NUMA_NODES = 2
DEFAULT_PRODUCT = "NVIDIA-H100-80GB-HBM3"

_GROUP_GPUS = {"switch": MAX_GPUS, "quads": 4, "pairs": 2, "none": 1}
_FAULT = re.compile(r"(?P<index>\d{1,2})(=(?P<xid>\d{1,4}))?")


@dataclass(frozen=True, slots=True)
class Product:
    """A kind of accelerator as feature discovery describes it."""

    name: str
    memory_mib: int
    family: str
    compute: tuple[int, int]


_PRODUCTS = {
    product.name: product
    for product in (
        Product("NVIDIA-H200", 143_771, "hopper", (9, 0)),
        Product(DEFAULT_PRODUCT, 81_559, "hopper", (9, 0)),
        Product("NVIDIA-A100-SXM4-80GB", 81_920, "ampere", (8, 0)),
        Product("NVIDIA-L40S", 46_068, "ada-lovelace", (8, 9)),
        Product("Tesla-T4", 15_360, "turing", (7, 5)),
    )
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """One accelerator.

    ``group`` numbers the devices that fast links join; ``xid`` is 0 without a driver error.
    """

    index: int
    uuid: str
    numa: int
    group: int
    xid: int = 0
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """What a node carries; ``refuses`` lets every allocation fail."""

    product: Product
    gpus: tuple[Gpu, ...] = ()
    refuses: bool = False


def read_board(node: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> Board:
    """Return what a node shall carry.

    Raises:
        BadInputError: a label or an annotation cannot be used; ``field`` names it.
    """
    count = _count(labels.get(GPUS_LABEL, "0"))
    group_gpus = _group_gpus(labels.get(LINKS_LABEL, "switch"))
    faults = _faults(annotations.get(FAULTS_ANNOTATION, ""), count)
    half = -(-count // NUMA_NODES)
    gpus = tuple(
        Gpu(
            index,
            f"GPU-{uuid5(NAMESPACE_DNS, f'{index}.{node}')}",
            numa=index // half,
            group=index // group_gpus,
            xid=faults.get(index, 0),
            broken=index in faults and faults[index] not in APPLICATION_XIDS,
        )
        for index in range(count)
    )
    refuses = _switch(annotations.get(REFUSE_ANNOTATION, "false"))
    return Board(_product(labels.get(PRODUCT_LABEL, DEFAULT_PRODUCT)), gpus, refuses)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_GPUS):
        raise BadInputError(f"{text!r} is no number from 0 to {MAX_GPUS}", field=GPUS_LABEL)
    return int(text)


def _group_gpus(text: str) -> int:
    if text not in _GROUP_GPUS:
        known = ", ".join(_GROUP_GPUS)
        raise BadInputError(f"{text!r} is not known; write one of {known}", field=LINKS_LABEL)
    return _GROUP_GPUS[text]


def _faults(text: str, count: int) -> dict[int, int]:
    """Return the XID of each faulty device, 0 for a device that is broken without one."""
    faults: dict[int, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _FAULT.fullmatch(part)
        if not found or int(found["index"]) >= count:
            raise BadInputError(
                f"{part!r} names no device of {count}; write indices from 0, such as 0,3=79",
                field=FAULTS_ANNOTATION,
            )
        faults[int(found["index"])] = int(found["xid"] or 0)
    return faults


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise BadInputError(f"{text!r} is neither true nor false", field=REFUSE_ANNOTATION)
    return text == "true"


def _product(name: str) -> Product:
    """Return the product of this name; one that nobody knows has 80 GiB and no family."""
    return _PRODUCTS.get(name) or Product(name, 81_920, "", (9, 0))
