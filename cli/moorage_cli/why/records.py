"""Decision records as the extender tells them, and where to ask for them."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import msgspec
import urllib3

from moorage_cluster.errors import ApiError, NotFoundError
from moorage_cluster.session import ApiSession
from moorage_crds.names import PODS
from moorage_policies.errors import BadInputError, UnavailableError

EXTENDER_ACCOUNT: Final = "moorage-extender"
HEALTH_PORT: Final = 8889
_TIMEOUT_S: Final = 5.0


class Candidate(msgspec.Struct, rename="camel"):
    """One node: what each scorer gave it, their sum, and what kube-scheduler was told (0 to 10)."""

    node: str
    score: int
    total: float
    points: dict[str, float]


class HintIntent(msgspec.Struct, rename="camel"):
    """One wish of a hint, what it looked at, and its part of the hint's 0 to 1 by node."""

    intent: dict[str, Any]
    reason: str
    added: dict[str, float] = {}


class Hint(msgspec.Struct, rename="camel"):
    """A pod's hint and what became of it."""

    text: str
    outcome: str
    origin: str = ""
    problem: str = ""
    intents: list[HintIntent] = []
    not_understood: list[str] = []


class Decision(msgspec.Struct, rename="camel"):
    """One decision of a verb; fields that a verb has nothing to say about are empty."""

    pod: str
    uid: str
    reason: str
    verb: str = ""
    outcome: str = ""
    at_s: float = 0.0
    node: str = ""
    generation: int = 0
    candidates: int = 0
    best: list[Candidate] = []
    weights: dict[str, float] = {}
    form: str = ""
    dropped: list[str] = []
    refused: dict[str, int] = {}
    victims: dict[str, list[str]] = {}
    hint: Hint | None = None


_decode = msgspec.json.Decoder(list[Decision]).decode


async def ask_address(address: str, namespace: str, pod: str) -> list[Decision]:
    """Return the decisions that one extender outside the cluster remembers, newest first.

    Raises:
        UnavailableError: it does not answer.
    """
    url = f"{address.rstrip('/')}{_path(namespace, pod)}"
    try:
        answer = await asyncio.to_thread(
            urllib3.request, "GET", url, timeout=_TIMEOUT_S, retries=False
        )
    except urllib3.exceptions.HTTPError as error:
        raise UnavailableError(f"{url} does not answer ({error})") from error
    if answer.status != HTTPStatus.OK:
        raise UnavailableError(f"{url} answers {answer.status}: {answer.data[:200]!r}")
    return _read(answer.data, url)


async def ask_cluster(session: ApiSession, namespace: str, pod: str) -> list[Decision]:
    """Return the decisions that any extender in the cluster remembers, newest first.

    Raises:
        BadInputError: there is no extender.
        UnavailableError: none of them answers.
    """
    selector = {"fieldSelector": f"spec.serviceAccountName={EXTENDER_ACCOUNT}"}
    extenders = (await session.get_json(PODS.path(), params=selector))["items"]
    if not extenders:
        message = f"no pod runs as ServiceAccount {EXTENDER_ACCOUNT}; give the address of one"
        raise BadInputError(message, field="--extender")
    answers = await asyncio.gather(
        *(_ask_pod(session, one, namespace, pod) for one in extenders), return_exceptions=True
    )
    for failed in answers:
        if isinstance(failed, BaseException) and not isinstance(failed, UnavailableError):
            raise failed
    found = [answer for answer in answers if isinstance(answer, list)]
    if not found:
        raise UnavailableError(f"no extender answers: {answers[0]}")
    return sorted((one for answer in found for one in answer), key=lambda d: d.at_s, reverse=True)


async def _ask_pod(
    session: ApiSession, extender: dict[str, Any], namespace: str, pod: str
) -> list[Decision]:
    meta = extender["metadata"]
    port = next(
        (
            port["containerPort"]
            for container in extender["spec"]["containers"]
            for port in container.get("ports") or ()
            if port.get("name") == "health"
        ),
        HEALTH_PORT,
    )
    place = PODS.path(meta["namespace"], f"{meta['name']}:{port}", "proxy")
    path = f"{place}{_path(namespace, pod)}"
    try:
        return _read(await session.request("GET", path, timeout_s=_TIMEOUT_S), path)
    except NotFoundError as error:
        raise UnavailableError(str(error)) from error
    except ApiError as error:
        raise UnavailableError(f"{error}; it needs the right to get pods/proxy") from error


def _path(namespace: str, pod: str) -> str:
    return f"/debug/decisions/{quote(namespace, safe='')}/{quote(pod, safe='')}"


def _read(body: bytes, place: str) -> list[Decision]:
    try:
        return _decode(body)
    except msgspec.DecodeError as error:
        raise UnavailableError(f"{place} gives no decision records ({error})") from error
