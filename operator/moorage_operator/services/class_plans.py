"""One role on one accelerator class: can it run there, what is there now, what has room."""

from __future__ import annotations

from dataclasses import dataclass, replace

from moorage_crds.names import DEPLOYMENTS, LEADER_WORKER_SETS, workload_name
from moorage_crds.pool import Accelerator, GPUInferencePool, Role
from moorage_operator.children import Child
from moorage_operator.manifests.pods import build_pod_template, to_replica_pod
from moorage_operator.manifests.templates import Json
from moorage_operator.services.facts import PoolFacts
from moorage_operator.services.replicas import ReplicaCount, count_replicas
from moorage_policies.errors import BadInputError
from moorage_policies.pools.classes import of_product
from moorage_policies.pools.problems import Problem
from moorage_policies.pools.room import Room, measure_room
from moorage_policies.pools.split import ClassOption
from moorage_policies.types import AcceleratorClass, Pod

NO_ROOM = Room(nodes=0, accepting=0, free_replicas=0, most_replicas=0, short_of={})


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """A role on one accelerator class.

    Args:
        accelerator: the class and shape as the role wrote them.
        workload: name of the workload there.
        child: the live workload, ``None`` when there is none.
        count: its replicas.
        template: complete pod template, ``None`` when the class cannot be used as written.
        room: what the class offers to one more replica.
        problem: why the class cannot be used.
        surge: replicas that running plans add to the workload.
    """

    accelerator: Accelerator
    workload: str
    child: Child | None
    count: ReplicaCount
    template: Json | None = None
    room: Room = NO_ROOM
    problem: Problem | None = None
    surge: int = 0

    @property
    def name(self) -> str:
        """Return the class's name."""
        return self.accelerator.class_

    @property
    def key(self) -> tuple[str, str]:
        """Return kind and name of the workload."""
        groups = self.accelerator.nodes_per_replica > 1
        return (LEADER_WORKER_SETS if groups else DEPLOYMENTS).kind, self.workload

    @property
    def assigned(self) -> int:
        """Return the replicas that the live workload asks for, the surge in them left out."""
        return max(0, self.child.replicas - self.child.surge) if self.child else 0

    def to_option(self) -> ClassOption:
        """Return the class as the split sees it."""
        return ClassOption(
            name=self.name,
            assigned=self.assigned,
            bound=self.count.placed,
            stuck=min(self.count.stuck, self.assigned),
            free_replicas=self.room.free_replicas,
            has_nodes=self.room.nodes > 0,
        )


@dataclass(frozen=True, slots=True)
class RolePlan:
    """What a role should have.

    Args:
        role: the role.
        wanted: replicas it should have.
        pool_replicas: what the pool's spec asks for.
        classes: its accelerator classes, best first.
        counts: replicas by class.
        unplaceable: replicas that no class can take.
        problems: what is wrong with the role.
        reason: how the counts came about.
        retired: workloads of the role that its spec no longer asks for (a class that was taken out,
            another kind of workload) and that go only when the others are ready.
    """

    role: Role
    wanted: int
    pool_replicas: int
    classes: tuple[ClassPlan, ...]
    counts: dict[str, int]
    unplaceable: int
    problems: tuple[Problem, ...]
    reason: str
    retired: tuple[Child, ...] = ()


def plan_class(
    pool: GPUInferencePool, role: Role, accelerator: Accelerator, field: str, facts: PoolFacts
) -> ClassPlan:
    """Return the role's plan on a class; what is wrong with it is a problem, not an exception."""
    size = accelerator.nodes_per_replica
    count = count_replicas(
        facts.pods_of(role.name, accelerator.class_),
        size,
        now_s=facts.now_s,
        patience_s=facts.patience_s,
    )
    name = workload_name(pool.metadata.name, role.name, accelerator.class_)
    plan = ClassPlan(accelerator, name, None, count, surge=facts.surges.get(name, 0))
    plan = replace(plan, child=facts.children.get(plan.key))
    resolved = _resolve(accelerator.class_, plan.child, facts)
    if resolved is None:
        message = facts.catalog.explain_missing(accelerator.class_)
        return _refused(plan, role, "UnknownAcceleratorClass", f"{field}.class", message)
    if size > 1 and not facts.serves_groups:
        return _refused(
            plan,
            role,
            "LeaderWorkerSetMissing",
            f"{field}.nodesPerReplica",
            f"{size} nodes per replica need the API {LEADER_WORKER_SETS.crd_name}, which this "
            "cluster does not serve; install LeaderWorkerSet or write 1",
        )
    return _shaped(plan, pool, role, resolved, field, facts)


def _shaped(
    plan: ClassPlan,
    pool: GPUInferencePool,
    role: Role,
    resolved: AcceleratorClass,
    field: str,
    facts: PoolFacts,
) -> ClassPlan:
    """Return the plan with template and room, or with the problem of its shape."""
    accelerator = plan.accelerator
    try:
        template = build_pod_template(pool, role, accelerator, resolved)
        pod = to_replica_pod(template, pool.metadata.namespace)
        _check_devices(pod, accelerator, resolved)
    except BadInputError as error:
        place = field if accelerator.template else field.partition(".accelerators")[0]
        message = str(error).removeprefix(f"{error.field}: ")
        wrong = error.field or "template"
        return _refused(plan, role, "InvalidTemplate", f"{place}.{wrong}", message)
    room = measure_room(facts.snapshot, resolved, pod, accelerator.nodes_per_replica)
    if room.is_impossible and not _waits_for_nodes(pool):
        message = _explain_shortage(room, accelerator, resolved)
        wrong = "count" if resolved.resource in room.short_of else "template"
        return _refused(plan, role, "ImpossibleShape", f"{field}.{wrong}", message)
    return replace(plan, template=template, room=room)


def _check_devices(pod: Pod, accelerator: Accelerator, resolved: AcceleratorClass) -> None:
    """Raise ``BadInputError`` when the pod would take other devices than its class declares."""
    asked = pod.requests.get(resolved.resource, 0)
    if asked != accelerator.count:
        raise BadInputError(
            f"the pod would take {asked} {resolved.resource} with its init containers, but count "
            f"is {accelerator.count}; ask for no more there",
            field="template.spec.initContainers",
        )


def _resolve(name: str, child: Child | None, facts: PoolFacts) -> AcceleratorClass | None:
    """Return the class; one derived from a product stays that product while its workload lives."""
    resolved = facts.catalog.find(name)
    if resolved is None and child is not None and child.product:
        return of_product(name, child.product)
    return resolved


def _waits_for_nodes(pool: GPUInferencePool) -> bool:
    return pool.spec.scaling is not None and pool.spec.scaling.on_unplaceable == "Pending"


def _explain_shortage(room: Room, accelerator: Accelerator, resolved: AcceleratorClass) -> str:
    if room.short_of:
        asked = "; ".join(
            f"a pod asks for {amount} {name}, a {resolved.name} node offers at most {most}"
            for name, (amount, most) in sorted(room.short_of.items())
        )
        remedy = "ask for less per pod, raise nodesPerReplica, or accept another class"
    elif accelerator.nodes_per_replica > 1:
        asked = (
            f"one replica takes {accelerator.nodes_per_replica} pods, the {room.nodes} "
            f"{resolved.name} nodes hold {room.most_pods}"
        )
        remedy = "lower nodesPerReplica or accept another class"
    else:
        asked = f"no {resolved.name} node has all that a pod asks for at once"
        remedy = "ask for less per pod or accept another class"
    return f"{asked}; {remedy}"


def _refused(plan: ClassPlan, role: Role, reason: str, field: str, message: str) -> ClassPlan:
    problem = Problem(reason, message, field=field, role=role.name)
    return replace(plan, problem=problem)
