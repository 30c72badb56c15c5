"""Binds one pod to a node, with its uid as precondition."""

from __future__ import annotations

from dataclasses import dataclass

from moorage_cluster.errors import (
    ClusterUnavailableError,
    ConflictError,
    InvalidError,
    NotFoundError,
)
from moorage_cluster.pods import PodHead, read_pod
from moorage_cluster.session import ApiSession, Json
from moorage_crds.names import PODS


@dataclass(frozen=True, slots=True)
class Bound:
    """The pod sits on the node; ``earlier`` when an earlier call had already put it there."""

    earlier: bool = False


@dataclass(frozen=True, slots=True)
class BoundElsewhere:
    """The pod already sits on another node."""

    node: str


@dataclass(frozen=True, slots=True)
class BindRefused:
    """The pod cannot be bound as it is: it is being deleted, or gates hold it."""

    message: str


@dataclass(frozen=True, slots=True)
class PodGone:
    """This pod is not there any more; one of the same name may be."""


Binding = Bound | BoundElsewhere | BindRefused | PodGone


async def bind(
    session: ApiSession,
    namespace: str,
    name: str,
    uid: str,
    node: str,
    *,
    timeout_s: float | None = None,
) -> Binding:
    """Return what became of binding the pod that has this uid to ``node``.

    Repeating it is harmless. The server does not check that the node has room, nor that it exists.

    ``timeout_s`` limits each of at most two calls.

    Raises:
        ClusterUnavailableError: no answer, and the pod is not (yet) seen on the node.
        ForbiddenError: RBAC does not grant ``create`` on ``pods/binding``.
    """
    path = PODS.path(namespace, name, "binding")
    try:
        body = _binding(namespace, name, uid, node)
        await session.request("POST", path, body=body, timeout_s=timeout_s)
    except NotFoundError:
        return PodGone()
    except (ConflictError, InvalidError) as error:
        pod = await read_pod(session, namespace, name, timeout_s=timeout_s)
        return _explain(pod, uid, node) or BindRefused(error.failure.message)
    except ClusterUnavailableError:
        pod = await read_pod(session, namespace, name, timeout_s=timeout_s)
        if outcome := _explain(pod, uid, node):
            return outcome
        raise
    return Bound()


def _explain(pod: PodHead | None, uid: str, node: str) -> Binding | None:
    """Return the outcome that the pod's state shows, ``None`` while it is unbound."""
    if pod is None or pod.metadata.uid != uid:
        return PodGone()
    if pod.spec.node_name == node:
        return Bound(earlier=True)
    return BoundElsewhere(pod.spec.node_name) if pod.spec.node_name else None


def _binding(namespace: str, name: str, uid: str, node: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"namespace": namespace, "name": name, "uid": uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
