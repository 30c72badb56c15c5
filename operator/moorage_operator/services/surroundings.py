"""What pools run in: nodes, accelerator classes, PriorityClasses, the APIs that are served."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from moorage_crds.convert import to_node
from moorage_crds.objects import NodeObject, ObjectMeta, Wire
from moorage_policies.errors import BadInputError
from moorage_policies.pools.classes import Catalog, build_catalog
from moorage_policies.ports import Reporter
from moorage_policies.state.events import NodeChanged, NodeDeleted, NodesListed
from moorage_policies.state.state import ClusterState
from moorage_policies.types import NVIDIA_GPU, AcceleratorClass


class NamedObject(Wire):
    """An object of which only the metadata is read."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)


class ClassEntry(Wire):
    """One declared accelerator class."""

    name: str
    node_selector: dict[str, str] = msgspec.field(default_factory=dict)
    resource: str = NVIDIA_GPU


class PolicyHints(Wire):
    """What a PlacementPolicy says of hints."""

    actuation: str = "Auto"


class PolicyClasses(Wire):
    """The parts of a PlacementPolicy's spec that pools rest on."""

    accelerator_classes: tuple[ClassEntry, ...] = ()
    hints: PolicyHints = msgspec.field(default_factory=PolicyHints)


class PolicyObject(Wire):
    """A PlacementPolicy."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: PolicyClasses = msgspec.field(default_factory=PolicyClasses)


class Surroundings:
    """The part of the cluster that pools share; its sinks are for reflectors.

    Args:
        state: takes the nodes.
        changed: called when something changed that may help a pool which lacks something.
        reclassified: called when declared classes changed, which concerns every pool.
        reporter: hears of nodes that cannot be read.
    """

    def __init__(
        self,
        state: ClusterState,
        changed: Callable[[], None],
        reclassified: Callable[[], None],
        reporter: Reporter,
    ) -> None:
        self._state = state
        self._changed = changed
        self._reclassified = reclassified
        self._reporter = reporter
        self._declared: dict[str, tuple[AcceleratorClass, ...]] = {}
        self._without_hints: frozenset[str] = frozenset()
        self._catalog: tuple[int, Catalog] | None = None
        self.priority_classes: frozenset[str] = frozenset()
        self.serves_groups = False

    @property
    def catalog(self) -> Catalog:
        """Return the accelerator classes, read again only after a node or a policy changed."""
        table = self._state.snapshot().table
        if self._catalog is None or self._catalog[0] != table.version:
            names = sorted(self._declared, reverse=True)  # of two policies the first name wins
            declared = [accelerator for name in names for accelerator in self._declared[name]]
            self._catalog = (table.version, build_catalog(declared, table.nodes))
        return self._catalog[1]

    @property
    def hints_are_off(self) -> bool:
        """Return whether a PlacementPolicy switches hints off."""
        return bool(self._without_hints)

    def list_nodes(self, nodes: Iterable[NodeObject]) -> None:
        """Take the whole list of nodes."""
        changes = [change for change in map(self._read_node, nodes) if change is not None]
        self._change_nodes(NodesListed(tuple(change.node for change in changes)))

    def put_node(self, node: NodeObject) -> None:
        """Take note of a node."""
        change = self._read_node(node)
        if change is not None:
            self._change_nodes(change)

    def drop_node(self, node: NodeObject) -> None:
        """Forget a node that is gone."""
        self._change_nodes(NodeDeleted(node.metadata.name))

    def list_policies(self, policies: Iterable[PolicyObject]) -> None:
        """Take the whole list of PlacementPolicies."""
        policies = tuple(policies)
        self._set_without_hints(p.metadata.name for p in policies if _is_without_hints(p))
        self._declare({policy.metadata.name: _classes(policy) for policy in policies})

    def put_policy(self, policy: PolicyObject) -> None:
        """Take note of a PlacementPolicy."""
        name = policy.metadata.name
        others = self._without_hints - {name}
        self._set_without_hints({*others, name} if _is_without_hints(policy) else others)
        self._declare({**self._declared, name: _classes(policy)})

    def drop_policy(self, policy: PolicyObject) -> None:
        """Forget a PlacementPolicy that is gone."""
        gone = policy.metadata.name
        self._set_without_hints(self._without_hints - {gone})
        self._declare({name: held for name, held in self._declared.items() if name != gone})

    def list_priority_classes(self, items: Iterable[NamedObject]) -> None:
        """Take the whole list of PriorityClasses."""
        self._set_priority_classes(frozenset(item.metadata.name for item in items))

    def put_priority_class(self, item: NamedObject) -> None:
        """Take note of a PriorityClass."""
        self._set_priority_classes(self.priority_classes | {item.metadata.name})

    def drop_priority_class(self, item: NamedObject) -> None:
        """Forget a PriorityClass that is gone."""
        self._set_priority_classes(self.priority_classes - {item.metadata.name})

    def note_groups(self, *, served: bool) -> None:
        """Take note of whether the LeaderWorkerSet API is there."""
        if served != self.serves_groups:
            self.serves_groups = served
            self._changed()

    def _read_node(self, node: NodeObject) -> NodeChanged | None:
        node.status.images = ()  # many and long, and nothing here looks at them
        try:
            return NodeChanged(to_node(node))
        except BadInputError as error:
            self._reporter.report("node.unreadable", node=node.metadata.name, error=str(error))
            return None

    def _change_nodes(self, event: NodeChanged | NodeDeleted | NodesListed) -> None:
        before = self._state.snapshot().table
        self._state.apply(event)
        if self._state.snapshot().table is not before:
            self._changed()

    def _declare(self, declared: dict[str, tuple[AcceleratorClass, ...]]) -> None:
        if declared != self._declared:
            self._declared = declared
            self._catalog = None
            self._reclassified()

    def _set_without_hints(self, names: Iterable[str]) -> None:
        off = frozenset(names)
        if bool(off) != self.hints_are_off:
            self._without_hints = off
            self._reclassified()
        self._without_hints = off

    def _set_priority_classes(self, names: frozenset[str]) -> None:
        if names != self.priority_classes:
            self.priority_classes = names
            self._changed()


def _is_without_hints(policy: PolicyObject) -> bool:
    return policy.spec.hints.actuation == "Off"


def _classes(policy: PolicyObject) -> tuple[AcceleratorClass, ...]:
    return tuple(
        AcceleratorClass(entry.name, entry.node_selector, entry.resource)
        for entry in policy.spec.accelerator_classes
    )
