"""Constraints of a pod that decisions do not model.

Such a pod is scored and counted, but never moved nor planned, since "fits" could not be proven.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from moorage_crds.objects import (
    AffinityObject,
    LabelSelectorObject,
    PodAffinityTermObject,
    PodObject,
    SelectorExpression,
    Volume,
)
from moorage_crds.selectors import EFFECTS, SELECTOR_OPERATORS, TOLERATION_OPERATORS

PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"
ATTACHED_VOLUME = "AttachedVolume"
RESOURCE_CLAIM = "ResourceClaim"
HOST_PORT = "HostPort"
POD_GROUP = "PodGroup"
NAMESPACE_SELECTOR = "NamespaceSelector"
UNKNOWN_WORD = "UnknownWord"
"""An operator or effect of a Kubernetes that is newer than this code."""


def unsupported_constraints(pod: PodObject) -> tuple[str, ...]:
    """Return the names of what the pod asks for and decisions do not model, each once."""
    return tuple(dict.fromkeys(_constraints(pod)))


def _constraints(pod: PodObject) -> Iterator[str]:
    spec = pod.spec
    for volume in spec.volumes:
        yield from _of_volume(volume)
    if spec.resource_claims or pod.status.extended_resource_claim_status:
        yield RESOURCE_CLAIM
    containers = (*(spec.containers or ()), *spec.init_containers)
    if any(port.host_port for container in containers for port in container.ports):
        yield HOST_PORT
    if spec.scheduling_group or spec.workload_ref:
        yield POD_GROUP
    yield from _of_words(pod)


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


def _of_words(pod: PodObject) -> Iterator[str]:
    spec = pod.spec
    for toleration in spec.tolerations:
        if toleration.operator not in TOLERATION_OPERATORS:
            yield UNKNOWN_WORD
        if toleration.effect and toleration.effect not in EFFECTS:
            yield UNKNOWN_WORD
    selectors = [spread.label_selector for spread in spec.topology_spread_constraints]
    if spec.affinity is not None:
        terms = tuple(_pod_terms(spec.affinity))
        if any(_selects_some(term.namespace_selector) for term in terms):
            yield NAMESPACE_SELECTOR
        selectors += [term.label_selector for term in terms]
        yield from _of_expressions(_node_expressions(spec.affinity))
    yield from _of_expressions(e for s in selectors if s for e in s.match_expressions)


def _of_expressions(expressions: Iterable[SelectorExpression]) -> Iterator[str]:
    if any(expression.operator not in SELECTOR_OPERATORS for expression in expressions):
        yield UNKNOWN_WORD


def _selects_some(selector: LabelSelectorObject | None) -> bool:
    return selector is not None and bool(selector.match_labels or selector.match_expressions)


def _pod_terms(affinity: AffinityObject) -> Iterator[PodAffinityTermObject]:
    for group in (affinity.pod_affinity, affinity.pod_anti_affinity):
        if group is not None:
            yield from group.required
            yield from (weighted.pod_affinity_term for weighted in group.preferred)


def _node_expressions(affinity: AffinityObject) -> Iterator[SelectorExpression]:
    node = affinity.node_affinity
    if node is None:
        return
    terms = [*(node.required.node_selector_terms if node.required else ())]
    terms += [preferred.preference for preferred in node.preferred]
    for term in terms:
        yield from (*term.match_expressions, *term.match_fields)
