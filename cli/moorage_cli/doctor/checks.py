"""Judges facts about a cluster: pure, one function a question."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from moorage_cli.doctor.facts import Facts, Unread
from moorage_crds.names import GROUP, SCHEDULER_NAME
from moorage_policies.pools.classes import PRODUCT_LABEL, build_catalog
from moorage_policies.types import NVIDIA_GPU, AcceleratorClass, Node, Pod

T = TypeVar("T")
Level = Literal["ok", "warn", "fail"]

OLDEST_MINOR: Final = 34
NEWEST_MINOR: Final = 37
UNTOUCHED_AFTER_S: Final = 60.0
"""A scheduler that runs has at least tried a pod of this age."""

_EXPECTED_RESOURCES: Final = frozenset(
    f"{plural}.{GROUP}"
    for plural in ("gpuinferencepools", "gpuinferenceroles", "placementplans", "placementpolicies")
)
_ACCOUNTS: Final = "cli/moorage_cli/manifests/accounts.yaml"
_UNMOVABLE_OWNERS: Final = frozenset({"DaemonSet", "Node"})
_NAMES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer: what was looked at, how it is, and what to do when it is not well."""

    check: str
    level: Level
    message: str
    remedy: str = ""


def examine(facts: Facts) -> tuple[Finding, ...]:
    """Every finding, in the order in which problems should be solved."""
    return tuple(check(facts) for check in CHECKS)


def check_version(facts: Facts) -> Finding:
    """Whether this Kubernetes minor is one that Moorage is tested on."""
    name = "Kubernetes version"
    found = re.match(r"v?1\.(\d+)", facts.version)
    supported = f"1.{OLDEST_MINOR} to 1.{NEWEST_MINOR}"
    if found is None:
        return Finding(name, "warn", f"{facts.version!r} is no version", f"use {supported}")
    if int(found[1]) < OLDEST_MINOR:
        return Finding(name, "fail", f"{facts.version} is too old", f"upgrade to {supported}")
    if int(found[1]) > NEWEST_MINOR:
        message = f"{facts.version} is newer than what Moorage was tested on"
        return Finding(name, "warn", message, f"prefer {supported}, or try it on a test cluster")
    return Finding(name, "ok", facts.version)


def check_resources(facts: Facts) -> Finding:
    """Whether all custom resources are installed and served."""
    name = "custom resources"
    if isinstance(facts.resources, Unread):
        return _unread(name, facts.resources)
    missing = sorted(_EXPECTED_RESOURCES - facts.resources)
    if missing:
        remedy = "in the project's folder: `kubectl apply --server-side -f crds/`"
        return Finding(name, "fail", f"not served: {', '.join(missing)}", remedy)
    return Finding(name, "ok", f"all {len(_EXPECTED_RESOURCES)} are served")


def check_gpu_nodes(facts: Facts) -> Finding:
    """Whether there are nodes with allocatable GPUs, and all of them are usable."""
    name = "GPU nodes"
    if isinstance(facts.nodes, Unread):
        return _unread(name, facts.nodes)
    nodes = _gpu_nodes(facts.nodes, _resources(facts))
    if not nodes:
        message = f"no node has allocatable {' or '.join(sorted(_resources(facts)))}"
        return Finding(name, "fail", message, "install the GPU vendor's device plugin or operator")
    unusable = [node.name for node in nodes if not node.ready or node.unschedulable]
    if unusable:
        message = f"{len(unusable)} of {len(nodes)} are cordoned or not Ready: {_some(unusable)}"
        return Finding(name, "warn", message, "`kubectl describe node` them; uncordon the healthy")
    gpus = sum(sum(_gpus(node.allocatable, _resources(facts)).values()) for node in nodes)
    return Finding(name, "ok", f"{len(nodes)} nodes with {gpus} GPUs")


def check_classes(facts: Facts) -> Finding:
    """Whether every GPU node belongs to an accelerator class that a pool can name."""
    name = "accelerator classes"
    for read in (facts.nodes, facts.classes):
        if isinstance(read, Unread):
            return _unread(name, read)
    nodes = _gpu_nodes(_known(facts.nodes), _resources(facts))
    declared = _known(facts.classes)
    unnamed = [node.name for node in nodes if not _is_classified(node, declared)]
    if unnamed:
        message = f"{len(unnamed)} of {len(nodes)} GPU nodes have none: {_some(unnamed)}"
        remedy = (
            f"install GPU feature discovery (it sets {PRODUCT_LABEL}), or name their labels in "
            "the PlacementPolicy (spec.acceleratorClasses)"
        )
        return Finding(name, "fail" if len(unnamed) == len(nodes) else "warn", message, remedy)
    catalog = build_catalog(declared, nodes)
    if catalog.ambiguous:
        message = f"several products would be called {', '.join(sorted(catalog.ambiguous))}"
        remedy = "name each product in the PlacementPolicy (spec.acceleratorClasses)"
        return Finding(name, "warn", message, remedy)
    return Finding(name, "ok", ", ".join(sorted(catalog.classes)) or "none")


def check_other_schedulers(facts: Facts) -> Finding:
    """Whether another scheduler hands out the GPUs that Moorage plans with."""
    name = "other schedulers"
    for read in (facts.nodes, facts.pods):
        if isinstance(read, Unread):
            return _unread(name, read)
    strangers = _strangers(facts)
    gpu_users = [pod.key for pod in strangers if _gpus(pod.requests, _resources(facts))]
    if gpu_users:
        message = f"{len(gpu_users)} pods took GPUs through another scheduler: {_some(gpu_users)}"
        remedy = (
            f"set schedulerName: {SCHEDULER_NAME} on them, or keep them off these nodes by a "
            "taint: two schedulers on the same GPUs over-commit them"
        )
        return Finding(name, "fail", message, remedy)
    if strangers:
        keys = [pod.key for pod in strangers]
        message = f"{len(keys)} pods without GPUs came through another scheduler: {_some(keys)}"
        remedy = "taint the GPU nodes (NoSchedule) and let the pools' templates tolerate the taint"
        return Finding(name, "warn", message, remedy)
    return Finding(name, "ok", "no pod on a GPU node came through another scheduler")


def check_taints(facts: Facts) -> Finding:
    """Whether GPU nodes keep the pods of other schedulers away."""
    name = "GPU node taints"
    if isinstance(facts.nodes, Unread):
        return _unread(name, facts.nodes)
    nodes = _gpu_nodes(facts.nodes, _resources(facts))
    repelling = {"NoSchedule", "NoExecute"}
    bare = [node.name for node in nodes if repelling.isdisjoint(t.effect for t in node.taints)]
    if bare:
        message = f"{len(bare)} of {len(nodes)} GPU nodes are open to every pod: {_some(bare)}"
        remedy = (
            f"`kubectl taint nodes NAME {NVIDIA_GPU}=present:NoSchedule`; the operator lets the "
            "pools' pods tolerate it"
        )
        return Finding(name, "warn", message, remedy)
    return Finding(name, "ok", f"all {len(nodes)} GPU nodes are tainted")


def check_accounts(facts: Facts) -> Finding:
    """Whether the accounts of the operator and the extender may do what they must."""
    name = "RBAC"
    if isinstance(facts.denied, Unread):
        return _unread(name, facts.denied)
    if facts.denied:
        denied = _some([str(right) for right in facts.denied])
        remedy = f"in the project's folder: `kubectl apply -f {_ACCOUNTS}`"
        return Finding(name, "fail", f"{len(facts.denied)} rights are missing: {denied}", remedy)
    return Finding(name, "ok", "the accounts have every right they need")


def check_extender(facts: Facts) -> Finding:
    """Whether the extender is ready to answer the scheduler."""
    name = "extender"
    if isinstance(facts.extender, Unread):
        return _unread(name, facts.extender)
    if facts.extender.problem:
        message = f"{facts.extender.place}: {facts.extender.problem}"
        remedy = "look at its log; outside a cluster, name its health address with --extender"
        return Finding(name, "fail", message, remedy)
    return Finding(name, "ok", f"ready at {facts.extender.place}")


def check_scheduler(facts: Facts) -> Finding:
    """Whether a kube-scheduler serves the schedulerName of our pods."""
    name = "scheduler"
    if isinstance(facts.pods, Unread):
        return _unread(name, facts.pods)
    ours = [pod for pod in facts.pods if pod.scheduler == SCHEDULER_NAME]
    untouched = [pod.key for pod in ours if _is_untouched(pod, facts.now_s)]
    if untouched:
        message = f"nobody has tried to schedule {_some(untouched)}"
        remedy = f"run a kube-scheduler with a profile named {SCHEDULER_NAME}"
        return Finding(name, "fail", message, remedy)
    return Finding(name, "ok", f"no pod of {SCHEDULER_NAME} was overlooked")


CHECKS: Final[tuple[Callable[[Facts], Finding], ...]] = (
    check_version,
    check_resources,
    check_accounts,
    check_gpu_nodes,
    check_classes,
    check_taints,
    check_other_schedulers,
    check_scheduler,
    check_extender,
)


def _unread(name: str, unread: Unread) -> Finding:
    return Finding(name, "warn", f"cannot be checked: {unread.reason}", "ask with more rights")


def _known(read: tuple[T, ...] | Unread) -> tuple[T, ...]:
    return () if isinstance(read, Unread) else read


def _resources(facts: Facts) -> frozenset[str]:
    return frozenset({NVIDIA_GPU, *(declared.resource for declared in _known(facts.classes))})


def _gpus(amounts: Mapping[str, int], resources: Collection[str]) -> dict[str, int]:
    return {name: amounts[name] for name in resources if amounts.get(name, 0) > 0}


def _gpu_nodes(nodes: tuple[Node, ...], resources: Collection[str]) -> tuple[Node, ...]:
    return tuple(node for node in nodes if _gpus(node.allocatable, resources))


def _is_classified(node: Node, declared: Collection[AcceleratorClass]) -> bool:
    return PRODUCT_LABEL in node.labels or any(
        one.node_selector.items() <= node.labels.items() for one in declared
    )


def _strangers(facts: Facts) -> list[Pod]:
    nodes = {node.name for node in _gpu_nodes(_known(facts.nodes), _resources(facts))}
    return [
        pod
        for pod in _known(facts.pods)
        if pod.node in nodes
        and pod.scheduler != SCHEDULER_NAME
        and pod.phase not in ("Succeeded", "Failed")
        and (pod.owner is None or pod.owner.kind not in _UNMOVABLE_OWNERS)
    ]


def _is_untouched(pod: Pod, now_s: float) -> bool:
    waits = pod.node is None and not pod.unschedulable and not pod.gates and not pod.terminating
    return waits and now_s - pod.created_s > UNTOUCHED_AFTER_S


def _some(names: Collection[str]) -> str:
    shown = sorted(names)[:_NAMES_SHOWN]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
