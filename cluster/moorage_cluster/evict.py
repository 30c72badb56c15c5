"""Evicts one pod through the Eviction API, with its uid as precondition."""

from __future__ import annotations

from dataclasses import dataclass

from moorage_cluster.errors import (
    ClusterUnavailableError,
    ConflictError,
    NotFoundError,
    TooManyRequestsError,
)
from moorage_cluster.pods import read_pod
from moorage_cluster.session import ApiSession, Json
from moorage_crds.names import PODS

_SEVERAL_BUDGETS = "more than one PodDisruptionBudget"
_BUDGET = "DisruptionBudget"


@dataclass(frozen=True, slots=True)
class Evicted:
    """The pod is being deleted."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Not now; ``by_budget`` when a PodDisruptionBudget forbids it, else the server is busy.

    ``retry_after_s`` is ``None`` when the server named no time, as it does not for a budget that
    has nothing left.
    """

    retry_after_s: float | None
    message: str
    by_budget: bool


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Never, until somebody changes the budgets: more than one selects this pod."""

    message: str


@dataclass(frozen=True, slots=True)
class Gone:
    """This pod is not there any more; one of the same name may be."""


Eviction = Evicted | Refused | Misconfigured | Gone


async def evict(
    session: ApiSession,
    namespace: str,
    name: str,
    uid: str,
    *,
    grace_period_s: int | None = None,
) -> Eviction:
    """Return what became of the eviction of the pod that has this uid.

    Repeating it is harmless: a pod that is already being deleted counts as evicted, and a new pod
    of the same name is never touched.

    Raises:
        ClusterUnavailableError: no answer; the pod may be evicted or not.
        ForbiddenError: RBAC does not grant ``create`` on ``pods/eviction``.
    """
    try:
        body = _eviction(namespace, name, uid, grace_period_s)
        await session.request("POST", PODS.path(namespace, name, "eviction"), body=body)
    except NotFoundError:
        return Gone()
    except TooManyRequestsError as error:
        by_budget = any(cause.reason == _BUDGET for cause in error.failure.causes)
        return Refused(error.retry_after_s, error.failure.message, by_budget)
    except ConflictError as error:
        return await _explain_conflict(session, namespace, name, uid, error)
    except ClusterUnavailableError as error:
        if _SEVERAL_BUDGETS in error.failure.message:
            return Misconfigured(error.failure.message)
        raise
    return Evicted()


async def _explain_conflict(
    session: ApiSession, namespace: str, name: str, uid: str, error: ConflictError
) -> Eviction:
    pod = await read_pod(session, namespace, name)
    if pod is None or pod.metadata.uid != uid:
        return Gone()
    return Refused(error.retry_after_s, error.failure.message, by_budget=False)


def _eviction(namespace: str, name: str, uid: str, grace_period_s: int | None) -> Json:
    options: Json = {"preconditions": {"uid": uid}}
    if grace_period_s is not None:
        options["gracePeriodSeconds"] = grace_period_s
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"namespace": namespace, "name": name},
        "deleteOptions": options,
    }
