"""Refusals of the API server as problems that a pool's status shows."""

from __future__ import annotations

from moorage_cluster.errors import (
    ApiError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnacceptableRequestError,
)
from moorage_crds.names import LEADER_WORKER_SETS
from moorage_operator.manifests.objects import Manifest
from moorage_policies.errors import UnavailableError
from moorage_policies.pools.problems import Problem

NAMESPACE_GONE = frozenset({"NamespaceTerminating", "NamespaceMissing"})
"""Reasons after which nothing else can be written to the namespace either."""


class NotLeadingError(UnavailableError):
    """Leadership is over: whatever was about to be written belongs to the next leader."""

    def __init__(self) -> None:
        super().__init__("the Lease is no longer held by this process; the next leader takes over")


def to_problem(error: ApiError, manifest: Manifest) -> Problem | None:
    """Return what a refusal means for the pool; ``None`` if the same call may soon succeed."""
    what = f"{manifest.resource.kind} {manifest.name}"
    role = manifest.role
    message = error.failure.message
    match error:
        case ForbiddenError():
            reason, remedy = _forbidden(error)
            return Problem(reason, f"{what} was refused: {message}; {remedy}", role=role)
        case InvalidError():
            return Problem(
                "InvalidObject",
                f"{what} was refused: {message}; correct the field",
                field=_pool_field(error.field, role),
                role=role,
            )
        case NotFoundError() if manifest.resource is LEADER_WORKER_SETS:
            remedy = "install LeaderWorkerSet or write 1 for nodesPerReplica"
            return Problem("LeaderWorkerSetMissing", f"{what}: {message}; {remedy}", role=role)
        case NotFoundError():
            remedy = "create the namespace again or remove the pool"
            return Problem("NamespaceMissing", f"{what}: {message}; {remedy}", role=role)
        case UnacceptableRequestError():
            return Problem("RequestRefused", f"{what} was refused: {message}", role=role)
    return None


def name_taken(manifest: Manifest, owner: str) -> Problem:
    """Return the problem of an object of the wanted name that is not the pool's."""
    return Problem(
        "NameTaken",
        f"{manifest.resource.kind} {manifest.namespace}/{manifest.name} exists and belongs to "
        f"{owner}; remove or rename it, or give the pool another name",
        role=manifest.role,
    )


def _forbidden(error: ForbiddenError) -> tuple[str, str]:
    message = error.failure.message
    reasons = {cause.reason for cause in error.failure.causes}
    if "NamespaceTerminating" in reasons or "is being terminated" in message:
        return "NamespaceTerminating", "the namespace is going away; use another one"
    if "exceeded quota" in message:
        return "QuotaExceeded", "raise the ResourceQuota or lower the replicas"
    return "Forbidden", "grant the verb to the operator, or look at the policy that is named"


def _pool_field(field: str, role: str) -> str:
    """Return the field of the pool behind a field of a workload."""
    if not role or "template" not in field:
        return f"spec.roles[{role}]" if role else "spec"
    return f"spec.roles[{role}].template{field.partition('template')[2]}"
