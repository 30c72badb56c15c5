"""The models as programs use them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from moorage_crds.names import MAX_POOL_NAME, MAX_ROLE_NAME, PLANS, POOLS, role_object_name
from moorage_crds.policy import PlacementPolicy, PolicySpec
from moorage_crds.pool import GPUInferencePool, Role
from moorage_crds.scaling import Scaling
from moorage_policies.errors import BadInputError


def pool(**role: Any) -> dict[str, Any]:
    body = {"name": "server", "accelerators": [{"class": "H100-80GB", "count": 4}], **role}
    return {"metadata": {"name": "p"}, "spec": {"model": {"name": "m"}, "roles": [body]}}


def test_reading_says_which_field_is_bad() -> None:
    with pytest.raises(BadInputError, match=r"less than or equal to 10000; see") as bad:
        GPUInferencePool.read(pool(replicas=10_001))
    assert bad.value.field == "spec.roles.0.replicas"


def test_fields_of_a_later_version_are_ignored() -> None:
    assert GPUInferencePool.read(pool(brandNew=1)) == GPUInferencePool.read(pool())


def test_what_was_read_cannot_be_changed() -> None:
    read = GPUInferencePool.read(pool())
    with pytest.raises(ValidationError, match="frozen"):
        read.spec.roles[0].replicas = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("nodes", "migration", "expected"),
    [
        pytest.param(1, None, "SurgeFirst", id="one-node"),
        pytest.param(2, None, "EvictFirst", id="a-group-cannot-surge"),
        pytest.param(2, {"strategy": "Never"}, "Never", id="as-written"),
    ],
)
def test_how_a_replica_moves(nodes: int, migration: dict[str, str] | None, expected: str) -> None:
    accelerator = {"class": "H100-80GB", "count": 8, "nodesPerReplica": nodes}
    role = Role.read({"name": "r", "accelerators": [accelerator], "migration": migration})
    assert role.migration_on(role.accelerators[0]) == expected
    assert role.accelerators[0].gpus_per_replica == 8 * nodes


@pytest.mark.parametrize("target", [1800, "1800", "1800.0"])
def test_a_target_is_a_number_however_written(target: int | str) -> None:
    scaling = Scaling.read({"target": target, "bounds": [{"role": "r", "maxReplicas": 2}]})
    assert scaling.target_value == Decimal(1800)


def test_no_policy_is_the_policy_of_defaults() -> None:
    empty = {"metadata": {"name": "default"}, "spec": {}}
    assert PlacementPolicy.read(empty).spec == PolicySpec()


def test_a_template_keeps_what_the_models_do_not_know() -> None:
    template = {
        "metadata": {"labels": {"a": "b"}, "finalizers": ["x"]},
        "spec": {"hostIPC": False, "containers": [{"name": "c", "tty": True}]},
    }
    read = Role.read(pool(template=template)["spec"]["roles"][0])
    assert read.template is not None
    assert read.template.manifest() == template


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(("ns", "p", "status"), "/namespaces/ns/gpuinferencepools/p/status", id="sub"),
        pytest.param(("ns",), "/namespaces/ns/gpuinferencepools", id="one-namespace"),
        pytest.param((), "/gpuinferencepools", id="all-namespaces"),
    ],
)
def test_paths_of_a_namespaced_resource(arguments: tuple[str, ...], expected: str) -> None:
    assert POOLS.path(*arguments) == f"/apis/moorage.dev/v1alpha1{expected}"


def test_a_cluster_resource_has_no_namespace_in_its_path() -> None:
    assert PLANS.path("ns", "a") == "/apis/moorage.dev/v1alpha1/placementplans/a"


def test_the_longest_child_name_is_a_service_name() -> None:
    assert len(role_object_name("p" * MAX_POOL_NAME, "r" * MAX_ROLE_NAME)) <= 63
