"""What nodes and kubelets last said that bears on the health of accelerators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from moorage_crds.convert import to_reading
from moorage_crds.names import QUARANTINE
from moorage_crds.objects import Condition, NodeObject, PodObject
from moorage_policies.errors import BadInputError
from moorage_policies.health import NodeReading, Refusal

REFUSED_REASON = "UnexpectedAdmissionError"
"""What a kubelet says of a pod to which it could not give its devices."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node: what it says, and the condition that we wrote on it, if any."""

    reading: NodeReading
    condition: Condition | None


class HealthBook:
    """Nodes and refused pods; its sinks are for reflectors."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeState] = {}
        self._refusals: dict[str, Refusal] = {}

    def nodes(self) -> Mapping[str, NodeState]:
        """Return every node by name."""
        return self._nodes

    def refusals(self, *, since_s: float) -> tuple[Refusal, ...]:
        """Return the pods refused since then, in Unix seconds; older ones are forgotten."""
        self._refusals = {
            uid: refusal for uid, refusal in self._refusals.items() if refusal.at_s >= since_s
        }
        return tuple(self._refusals.values())

    def list_nodes(self, nodes: Iterable[NodeObject]) -> None:
        """Take the whole list of nodes."""
        self._nodes = {}
        for node in nodes:
            self.put_node(node)

    def put_node(self, node: NodeObject) -> None:
        """Take note of a node; one that cannot be read keeps what it said before."""
        mine = (c for c in node.status.conditions if c.type == QUARANTINE)
        try:
            state = NodeState(to_reading(node), next(mine, None))
        except BadInputError:
            return  # whoever converts the node for decisions reports it
        self._nodes[node.metadata.name] = state

    def drop_node(self, node: NodeObject) -> None:
        """Forget a node that is gone."""
        self._nodes.pop(node.metadata.name, None)

    def list_pods(self, pods: Iterable[PodObject]) -> None:
        """Take note of the refused ones among all pods; those that are gone still count."""
        for pod in pods:
            self.put_pod(pod)

    def put_pod(self, pod: PodObject) -> None:
        """Take note of a pod if its kubelet refused it."""
        meta, status = pod.metadata, pod.status
        at = status.start_time or meta.creation_timestamp
        if status.phase == "Failed" and status.reason == REFUSED_REASON and at is not None:
            name = f"{meta.namespace}/{meta.name}"
            refusal = Refusal(pod.spec.node_name or "", name, at.timestamp())
            self._refusals.setdefault(meta.uid, refusal)
