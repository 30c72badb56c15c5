"""What a pod asks of its node, by kube-scheduler's arithmetic.

Source: ``PodRequests`` of ``k8s.io/component-helpers/resource`` (1.34 to 1.37) and the scheduler's
``framework.Resource``. Sums and maxima are exact; rounding up comes last, as in the scheduler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from moorage_crds.objects import (
    Container,
    ContainerStatus,
    PodObject,
    PodStatusObject,
    ResourceList,
)
from moorage_crds.quantities import nanos_to_millicores, nanos_to_units, parse_nanos
from moorage_policies.types import CPU, MEMORY, PODS

EPHEMERAL_STORAGE = "ephemeral-storage"

Nanos = dict[str, int]


def pod_requests(pod: PodObject) -> dict[str, int]:
    """Return the pod's requests: millicores for ``cpu``, whole units otherwise, zeros left out.

    An unbound pod counts by its spec alone; a bound one also by what the kubelet reports of a
    resize under way. Names that kube-scheduler does not count (``pods``, unknown bare names) are
    left out.

    Raises:
        BadInputError: a quantity cannot be read.
    """
    nanos = _resizing_total(pod) if pod.spec.node_name else _spec_total(pod)
    _apply_pod_level(nanos, pod)
    _add(nanos, _read(pod.spec.overhead))
    return _to_amounts(nanos)


def node_amounts(allocatable: ResourceList) -> dict[str, int]:
    """Return a node's allocatable in the same integers as requests, with ``pods``.

    Raises:
        BadInputError: a quantity cannot be read.
    """
    nanos = _read(allocatable)
    return {**_to_amounts(nanos), PODS: nanos_to_units(nanos.get(PODS, 0))}


def _to_amounts(nanos: Mapping[str, int]) -> dict[str, int]:
    return {
        name: nanos_to_millicores(value) if name == CPU else nanos_to_units(value)
        for name, value in nanos.items()
        if value and _is_counted(name)
    }


def _is_counted(name: str) -> bool:
    return (
        name in {CPU, MEMORY, EPHEMERAL_STORAGE}
        or "/" in name
        or name.startswith(("hugepages-", "attachable-volumes-"))
    )


def _spec_total(pod: PodObject) -> Nanos:
    spec = pod.spec
    if not spec.init_containers and spec.containers and len(spec.containers) == 1:
        return _of_spec(spec.containers[0])
    return _total(
        [_of_spec(container) for container in spec.containers or ()],
        [(_of_spec(container), _is_sidecar(container)) for container in spec.init_containers],
    )


def _total(containers: Iterable[Nanos], init: Iterable[tuple[Nanos, bool]]) -> Nanos:
    """Return what the pod takes at its hungriest moment.

    Sidecars run beside the containers, and beside every init container that starts after them.
    """
    running: Nanos = {}
    for requests in containers:
        _add(running, requests)
    sidecars: Nanos = {}
    starting: Nanos = {}
    for requests, is_sidecar in init:
        step = dict(requests)
        _add(step, sidecars)
        if is_sidecar:
            _add(running, requests)
            sidecars = step
        _raise_to(starting, step)
    _raise_to(running, starting)
    return running


def _resizing_total(pod: PodObject) -> Nanos:
    """Return the largest of what is asked for, allocated and in use during an in-place resize.

    Kubelets of 1.36 and later report allocated and actual resources of the pod as a whole, and
    their scheduler takes the largest of the three totals. Without that report each container
    counts with its own largest value, as up to 1.35; where later schedulers do otherwise this can
    only count more, and only while several containers of one pod are being resized.
    """
    status = pod.status
    infeasible = _is_resize_infeasible(status)
    if _reports_whole_pod(status):
        return _largest({} if infeasible else _spec_total(pod), *_whole_pod(status))
    statuses = {s.name: s for s in (*status.container_statuses, *status.init_container_statuses)}
    if not any(s.resources for s in statuses.values()):
        return _spec_total(pod)

    def read(container: Container) -> Nanos:
        return _of_status(container, statuses.get(container.name), infeasible=infeasible)

    return _total(
        [read(container) for container in pod.spec.containers or ()],
        [
            (read(container), True) if _is_sidecar(container) else (_of_spec(container), False)
            for container in pod.spec.init_containers
        ],
    )


def _of_status(container: Container, status: ContainerStatus | None, *, infeasible: bool) -> Nanos:
    if status is None or status.resources is None:
        return _of_spec(container)
    reported = (_read(status.resources.requests), _read(status.allocated_resources))
    return _largest({} if infeasible else _of_spec(container), *reported)


def _apply_pod_level(total: Nanos, pod: PodObject) -> None:
    """Put pod-level requests in the place of what the containers add up to."""
    resources, status = pod.spec.resources, pod.status
    wanted = _pod_level(resources.requests if resources else None)
    if not wanted:
        return
    if pod.spec.node_name and status.resources is not None:
        wanted = {} if _is_resize_infeasible(status) else wanted
        wanted = _largest(
            wanted, _pod_level(status.resources.requests), _pod_level(status.allocated_resources)
        )
    total.update(wanted)


def _is_resize_infeasible(status: PodStatusObject) -> bool:
    """Return whether the kubelet has refused the resize that the spec asks for."""
    pending = next((c for c in status.conditions if c.type == "PodResizePending"), None)
    return pending is not None and pending.reason == "Infeasible"


def _reports_whole_pod(status: PodStatusObject) -> bool:
    return (
        status.allocated_resources is not None
        and status.resources is not None
        and status.resources.requests is not None
    )


def _whole_pod(status: PodStatusObject) -> tuple[Nanos, Nanos]:
    actual = status.resources.requests if status.resources else None
    return _read(actual), _read(status.allocated_resources)


def _pod_level(resources: ResourceList | None) -> Nanos:
    """Return the resources that can be set for a pod as a whole."""
    return {
        name: value
        for name, value in _read(resources).items()
        if name in {CPU, MEMORY} or name.startswith("hugepages-")
    }


def _is_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


def _of_spec(container: Container) -> Nanos:
    return _read(container.resources.requests if container.resources else None)


def _read(resources: ResourceList | None) -> Nanos:
    if not resources:
        return {}
    return {name: parse_nanos(value) for name, value in resources.items()}


def _add(total: Nanos, more: Nanos) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _raise_to(total: Nanos, other: Nanos) -> None:
    for name, value in other.items():
        if name not in total or value > total[name]:  # a zero counts: it can stand for a pod
            total[name] = value


def _largest(*parts: Nanos) -> Nanos:
    result: Nanos = {}
    for part in parts:
        _raise_to(result, part)
    return result
