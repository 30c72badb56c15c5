"""Constraints of a pod that decisions do not model.

Such a pod is scored and counted, but never moved nor planned, since "fits" could not be proven.
"""

from __future__ import annotations

from collections.abc import Iterator

from moorage_crds.objects import AffinityObject, LabelSelectorObject, PodObject, Volume

PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"
ATTACHED_VOLUME = "AttachedVolume"
RESOURCE_CLAIM = "ResourceClaim"
HOST_PORT = "HostPort"
POD_GROUP = "PodGroup"
NAMESPACE_SELECTOR = "NamespaceSelector"


def unsupported_constraints(pod: PodObject) -> tuple[str, ...]:
    """Return the names of what the pod asks for and decisions do not model, each once."""
    return tuple(dict.fromkeys(_constraints(pod)))


def _constraints(pod: PodObject) -> Iterator[str]:
    spec = pod.spec
    for volume in spec.volumes:
        yield from _of_volume(volume)
    if spec.resource_claims or pod.status.extended_resource_claim_status:
        yield RESOURCE_CLAIM
    if any(
        port.host_port
        for container in (*(spec.containers or ()), *spec.init_containers)
        for port in container.ports
    ):
        yield HOST_PORT
    if spec.scheduling_group or spec.workload_ref:
        yield POD_GROUP
    if any(s and (s.match_labels or s.match_expressions) for s in _selectors(spec.affinity)):
        yield NAMESPACE_SELECTOR


def _of_volume(volume: Volume) -> Iterator[str]:
    if volume.persistent_volume_claim or volume.ephemeral:
        yield PERSISTENT_VOLUME_CLAIM
    attached = (
        volume.csi,
        volume.gce_persistent_disk,
        volume.aws_elastic_block_store,
        volume.azure_disk,
        volume.cinder,
        volume.iscsi,
        volume.rbd,
    )
    if any(source is not None for source in attached):
        yield ATTACHED_VOLUME


def _selectors(affinity: AffinityObject | None) -> Iterator[LabelSelectorObject | None]:
    """Return the namespace selector of every inter-pod term."""
    if affinity is None:
        return
    for group in (affinity.pod_affinity, affinity.pod_anti_affinity):
        if group is None:
            continue
        for term in group.required:
            yield term.namespace_selector
        for weighted in group.preferred:
            yield weighted.pod_affinity_term.namespace_selector
