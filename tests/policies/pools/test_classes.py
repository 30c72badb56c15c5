from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.pools.classes import Catalog, build_catalog, class_name, nominal_gb
from moorage_policies.testing import make_node
from moorage_policies.types import AcceleratorClass


@pytest.mark.parametrize(
    ("product", "memory_mib", "expected"),
    [
        pytest.param("NVIDIA-H100-80GB-HBM3", 81559, "H100-80GB", id="sxm-and-memory-kind-dropped"),
        pytest.param("NVIDIA-A100-SXM4-80GB", 81920, "A100-80GB", id="form-before-size"),
        pytest.param("NVIDIA-A100-SXM4-40GB", 40960, "A100-40GB", id="size-tells-models-apart"),
        pytest.param("NVIDIA-A100-80GB-PCIe", 81920, "A100-80GB-PCIe", id="pcie-is-another-class"),
        pytest.param("NVIDIA-H100-PCIe", 81559, "H100-80GB-PCIe", id="size-from-memory-label"),
        pytest.param("NVIDIA-H100-NVL", 95830, "H100-94GB-NVL", id="nvl-kept"),
        pytest.param("NVIDIA-H200", 143771, "H200-141GB", id="h200"),
        pytest.param("NVIDIA-L40S", 46068, "L40S-48GB", id="ecc-takes-some-memory"),
        pytest.param("Tesla-T4", 15360, "T4-16GB", id="tesla-is-a-vendor-word"),
        pytest.param("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", 9728, "A100-80GB-MIG-1g.10gb", id="mig"),
        pytest.param("NVIDIA-A100-SXM4-80GB-SHARED", 81920, "A100-80GB-SHARED", id="time-sliced"),
        pytest.param("NVIDIA-L4", None, "L4", id="no-memory-known"),
        pytest.param("NVIDIA", None, "NVIDIA", id="nothing-but-a-vendor"),
    ],
)
def test_class_name(product: str, memory_mib: int | None, expected: str) -> None:
    assert class_name(product, memory_mib) == expected


@given(st.integers(1, 2**20))
def test_a_nominal_size_holds_the_memory_and_does_not_shrink(memory_mib: int) -> None:
    size = nominal_gb(memory_mib)
    assert size >= round(memory_mib / 1024) or size >= memory_mib / 1024
    assert nominal_gb(memory_mib + 1024) >= size


def test_each_product_becomes_a_class_with_its_selector() -> None:
    nodes = [
        make_node("a", labels=_gfd("NVIDIA-H100-80GB-HBM3", 81559)),
        make_node("b", labels=_gfd("NVIDIA-A100-SXM4-80GB", 81920)),
        make_node("c", gpus=0),
    ]
    catalog = build_catalog([], nodes)
    assert set(catalog.classes) == {"H100-80GB", "A100-80GB"}
    assert catalog.classes["A100-80GB"].node_selector == {
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"
    }


def test_a_declared_class_replaces_the_derived_one() -> None:
    declared = AcceleratorClass("H100-80GB", {"pool": "h100"}, "example.com/gpu")
    catalog = build_catalog([declared], [make_node("a", labels=_gfd("NVIDIA-H100-80GB-HBM3", 1))])
    assert catalog.find("H100-80GB") == declared


def test_a_name_that_two_products_share_selects_nothing_but_each_product_does() -> None:
    products = ["NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-SXM-80GB"]
    nodes = [make_node(p, labels=_gfd(p, 81920)) for p in products]
    catalog = build_catalog([], nodes)
    assert catalog.find("A100-80GB") is None
    assert all(product in catalog.explain_missing("A100-80GB") for product in products)
    found = catalog.find("NVIDIA-A100-SXM-80GB")
    assert found is not None
    assert found.node_selector == {"nvidia.com/gpu.product": "NVIDIA-A100-SXM-80GB"}


def test_a_missing_class_is_explained_by_the_known_ones() -> None:
    catalog = build_catalog([AcceleratorClass("B"), AcceleratorClass("A")], [])
    message = catalog.explain_missing("C")
    assert "'C'" in message
    assert "A, B" in message
    assert "PlacementPolicy" in message
    assert "nvidia.com/gpu.product" in Catalog().explain_missing("C")


def _gfd(product: str, memory_mib: int) -> dict[str, str]:
    return {"nvidia.com/gpu.product": product, "nvidia.com/gpu.memory": str(memory_mib)}
