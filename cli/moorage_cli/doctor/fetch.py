"""Reads the facts of a cluster; what may not be read is noted, not raised."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
import urllib3

from moorage_cli.doctor.facts import ExtenderState, Facts, Right, Unread
from moorage_cli.manifests import SYSTEM_NAMESPACE, read_manifests
from moorage_cluster.errors import ApiError, NotFoundError
from moorage_cluster.session import ApiSession
from moorage_crds.convert import to_node, to_pod
from moorage_crds.names import CUSTOM_RESOURCE_DEFINITIONS, NODES, PODS, POLICIES, VERSION
from moorage_crds.objects import NodeObject, PodObject
from moorage_crds.policy import POLICY_NAME
from moorage_policies.types import AcceleratorClass, Node, Pod

T = TypeVar("T")

EXTENDER_ACCOUNT: Final = "moorage-extender"

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_REVIEWS_IN_FLIGHT: Final = 16
_HEALTH_TIMEOUT_S: Final = 5.0


async def fetch_facts(session: ApiSession, extender_address: str | None) -> Facts:
    """Everything the checks look at.

    Raises:
        ApiError: when not even the server's version can be read.
    """
    version = (await session.get_json("/version"))["gitVersion"]
    resources, nodes, pods, classes, denied, extender = await asyncio.gather(
        _read(_resources(session)),
        _read(_nodes(session)),
        _read(_pods(session)),
        _read(_classes(session)),
        _read(_denied(session)),
        _read(_extender(session, extender_address)),
    )
    return Facts(version, resources, nodes, pods, classes, denied, extender, time.time())


async def _read(facts: Awaitable[T]) -> T | Unread:
    try:
        return await facts
    except ApiError as error:
        return Unread(str(error))


async def _resources(session: ApiSession) -> frozenset[str]:
    definitions = await session.get_json(CUSTOM_RESOURCE_DEFINITIONS.path())
    return frozenset(
        definition["metadata"]["name"]
        for definition in definitions["items"]
        if _is_established(definition)
    )


def _is_established(definition: dict[str, Any]) -> bool:
    versions = definition["spec"]["versions"]
    conditions = definition.get("status", {}).get("conditions", ())
    return any(one["name"] == VERSION and one["served"] for one in versions) and any(
        one["type"] == "Established" and one["status"] == "True" for one in conditions
    )


async def _nodes(session: ApiSession) -> tuple[Node, ...]:
    return tuple([to_node(node) async for node in _items(session, NODES.path(), NodeObject)])


async def _pods(session: ApiSession) -> tuple[Pod, ...]:
    return tuple([to_pod(pod) async for pod in _items(session, PODS.path(), PodObject)])


async def _items(session: ApiSession, path: str, kind: type[T]) -> AsyncIterator[T]:
    async for page in session.list_pages(path):
        for item in page.items or ():
            yield msgspec.json.decode(item, type=kind)


async def _classes(session: ApiSession) -> tuple[AcceleratorClass, ...]:
    try:
        policy = await session.get_json(POLICIES.path(name=POLICY_NAME))
    except NotFoundError:
        return ()
    return tuple(
        AcceleratorClass(one["name"], one["nodeSelector"], one["resource"])
        for one in policy["spec"].get("acceleratorClasses", ())
    )


async def _denied(session: ApiSession) -> tuple[Right, ...]:
    free = asyncio.Semaphore(_REVIEWS_IN_FLIGHT)

    async def is_allowed(right: Right) -> bool:
        async with free:
            review = await session.create(_REVIEWS, review_of(right))
        return bool(review["status"]["allowed"])

    rights = list(needed_rights(read_manifests("accounts")))
    answers = await asyncio.gather(*map(is_allowed, rights))
    return tuple(right for right, allowed in zip(rights, answers, strict=True) if not allowed)


def needed_rights(manifests: Iterable[dict[str, Any]]) -> Iterable[Right]:
    """Every right that the shipped roles give to the shipped accounts."""
    manifests = list(manifests)
    roles = {(m["kind"], m["metadata"]["name"]): m for m in manifests if "rules" in m}
    for binding in (manifest for manifest in manifests if "roleRef" in manifest):
        role = roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]
        namespace = role["metadata"].get("namespace", "")
        for subject in binding["subjects"]:
            account = f"{subject['namespace']}/{subject['name']}"
            for rule in role["rules"]:
                yield from _rights_of_rule(account, rule, namespace)


def _rights_of_rule(account: str, rule: dict[str, Any], namespace: str) -> Iterable[Right]:
    return (
        Right(account, verb, group, resource, namespace, name)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", ("",))
    )


def review_of(right: Right) -> dict[str, Any]:
    """The SubjectAccessReview that asks the API server about a right."""
    namespace, _, name = right.account.partition("/")
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": right.namespace,
        "name": right.name,
    }
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{namespace}:{name}",
            "groups": [*groups, "system:authenticated"],
            "resourceAttributes": {key: value for key, value in attributes.items() if value},
        },
    }


async def _extender(session: ApiSession, address: str | None) -> ExtenderState:
    if address is not None:
        return await asyncio.to_thread(_asked_directly, address)
    place = f"pods of ServiceAccount {SYSTEM_NAMESPACE}/{EXTENDER_ACCOUNT}"
    selector = {"fieldSelector": f"spec.serviceAccountName={EXTENDER_ACCOUNT}"}
    answer = await session.get_json(PODS.path(SYSTEM_NAMESPACE), params=selector)
    pods = [to_pod(msgspec.convert(item, PodObject)) for item in answer["items"]]
    if not pods:
        return ExtenderState(place, "there are none")
    if not any(pod.ready for pod in pods):
        return ExtenderState(place, f"none of {', '.join(pod.name for pod in pods)} is Ready")
    return ExtenderState(place)


def _asked_directly(address: str) -> ExtenderState:
    place = f"{address.rstrip('/')}/readyz"
    try:
        answer = urllib3.request("GET", place, timeout=_HEALTH_TIMEOUT_S, retries=False)
    except urllib3.exceptions.HTTPError as error:
        return ExtenderState(place, f"does not answer ({error})")
    if answer.status != HTTPStatus.OK:
        return ExtenderState(place, f"answers {answer.status}: {answer.data.decode()[:200]}")
    return ExtenderState(place)
