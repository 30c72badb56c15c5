"""The pod template of one role on one accelerator class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from moorage_crds.convert import to_pod
from moorage_crds.names import POOL_LABEL, SCHEDULER_NAME, SERVING_LABEL
from moorage_crds.objects import PodObject
from moorage_crds.pool import Accelerator, GPUInferencePool, Role
from moorage_crds.quantities import to_units
from moorage_operator.manifests.names import class_labels
from moorage_operator.manifests.templates import Json, merge_templates
from moorage_policies.errors import BadInputError
from moorage_policies.types import AcceleratorClass, Pod

PREFERRED_WEIGHT = 100


def build_pod_template(
    pool: GPUInferencePool, role: Role, accelerator: Accelerator, resolved: AcceleratorClass
) -> Json:
    """Return the complete template of the role's pods on this class.

    The pool's hint is no part of it: the extender reads it from the pool, so that another hint
    replaces no pod.

    Raises:
        BadInputError: the template contradicts the pool; names the field.
    """
    template = _merged(role, accelerator)
    meta: Json = dict(template.get("metadata") or {})
    meta["labels"] = {
        **meta.get("labels", {}),
        **class_labels(pool.metadata.name, role.name, accelerator.class_),
        SERVING_LABEL: "true",
    }
    spec: Json = dict(template["spec"])
    spec.setdefault("schedulerName", SCHEDULER_NAME)
    if pool.spec.priority_class_name:
        spec["priorityClassName"] = pool.spec.priority_class_name
    spec["containers"] = _with_devices(spec["containers"], accelerator, resolved.resource)
    spec["nodeSelector"] = _node_selector(spec.get("nodeSelector") or {}, resolved)
    spec["tolerations"] = _tolerations(spec.get("tolerations") or [], resolved.resource)
    if pool.spec.topology is not None:
        spec["affinity"] = _with_topology(spec.get("affinity") or {}, pool)
    return {"metadata": meta, "spec": spec}


def to_replica_pod(template: Json, namespace: str) -> Pod:
    """Return a pod made from the template, as decisions see it.

    Raises:
        BadInputError: a part of the template that placement depends on cannot be read.
    """
    meta = {**template["metadata"], "namespace": namespace}
    spec = dict(template["spec"])
    for section in ("containers", "initContainers"):
        spec[section] = [_with_requests(container) for container in spec.get(section) or ()]
    try:
        wire = msgspec.convert({"metadata": meta, "spec": spec}, PodObject)
    except msgspec.ValidationError as error:
        raise BadInputError(f"{error}; see `kubectl explain pod.spec`", field="template") from error
    return to_pod(wire)


def _with_requests(container: Json) -> Json:
    """Ask for what is limited, as the API server fills it in."""
    resources = container.get("resources") or {}
    requests = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {**container, "resources": {**resources, "requests": requests}}


def _merged(role: Role, accelerator: Accelerator) -> Json:
    base = role.template.manifest() if role.template else {}
    over = accelerator.template.manifest() if accelerator.template else {}
    return merge_templates(base, over)


def _with_devices(containers: list[Json], accelerator: Accelerator, resource: str) -> list[Json]:
    """Give the devices to the first container unless some container asks for them itself."""
    asked = [to_units(amount) for amount in _device_amounts(containers, resource)]
    if not asked:
        first, *rest = containers
        given: Json = {"resources": {"limits": {resource: str(accelerator.count)}}}
        return [merge_templates(first, given), *rest]
    if sum(asked) != accelerator.count:
        raise BadInputError(
            f"the containers ask for {sum(asked)} {resource}, but count is {accelerator.count}; "
            "make them equal, or leave the resource out of the template",
            field="template.spec.containers",
        )
    return containers


def _device_amounts(containers: list[Json], resource: str) -> Iterator[Any]:
    for container in containers:
        resources = container.get("resources") or {}
        for section in ("limits", "requests"):
            if resource in (resources.get(section) or {}):
                yield resources[section][resource]
                break


def _node_selector(written: dict[str, str], resolved: AcceleratorClass) -> dict[str, str]:
    for key, value in resolved.node_selector.items():
        if written.get(key, value) != value:
            raise BadInputError(
                f"asks for {key}={written[key]}, but class {resolved.name} is {key}={value}; "
                "remove the key, or accept another class",
                field="template.spec.nodeSelector",
            )
    return {**written, **resolved.node_selector}


def _tolerations(written: list[Json], resource: str) -> list[Json]:
    """Tolerate the taint that bears the resource's name, as nodes with devices usually have."""
    if any(toleration.get("key", "") in ("", resource) for toleration in written):
        return written
    return [*written, {"key": resource, "operator": "Exists", "effect": "NoSchedule"}]


def _with_topology(affinity: Json, pool: GPUInferencePool) -> Json:
    """Keep the pool's pods in one domain by affinity to each other, which later pods obey too."""
    topology = pool.spec.topology
    terms: Json = dict(affinity.get("podAffinity") or {})
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    if topology is not None and topology.required:
        terms[required] = [*terms.get(required, []), _near(pool, topology.required)]
    if topology is not None and topology.preferred:
        wish = {"weight": PREFERRED_WEIGHT, "podAffinityTerm": _near(pool, topology.preferred)}
        terms[preferred] = [*terms.get(preferred, []), wish]
    return {**affinity, "podAffinity": terms}


def _near(pool: GPUInferencePool, key: str) -> Json:
    return {
        "labelSelector": {"matchLabels": {POOL_LABEL: pool.metadata.name}},
        "topologyKey": key,
    }
