"""What was read from a cluster before it is judged."""

from __future__ import annotations

from dataclasses import dataclass, field

from moorage_policies.types import AcceleratorClass, Node, Pod


@dataclass(frozen=True, slots=True)
class Unread:
    """Facts that could not be read, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that an account of ours must be allowed to do.

    Args:
        account: ``namespace/name`` of the ServiceAccount.
        verb: API verb (``list``).
        group: API group, empty for core.
        resource: plural, with its subresource (``pods/binding``).
        namespace: empty: in all namespaces.
        name: empty: on every object.
    """

    account: str
    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.account}: {self.verb} {kind}"


@dataclass(frozen=True, slots=True)
class ExtenderState:
    """Where the extender was looked for, and what is wrong with it there.

    Args:
        place: an address, or the pods of its ServiceAccount.
        problem: empty when it is ready.
    """

    place: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """One cluster as the checks see it.

    Args:
        version: of the API server (``v1.34.10``).
        resources: names of the custom resource definitions of ours that are served.
        nodes: all nodes.
        pods: all pods.
        classes: accelerator classes that the PlacementPolicy declares.
        denied: rights that an account of ours lacks.
        extender: whether it is ready.
        now_s: Unix seconds when this was read.
    """

    version: str
    resources: frozenset[str] | Unread = frozenset()
    nodes: tuple[Node, ...] | Unread = ()
    pods: tuple[Pod, ...] | Unread = ()
    classes: tuple[AcceleratorClass, ...] | Unread = ()
    denied: tuple[Right, ...] | Unread = ()
    extender: ExtenderState | Unread = field(default_factory=lambda: ExtenderState(""))
    now_s: float = 0.0
