"""Reads the head of one pod: who it is and where it sits."""

from __future__ import annotations

from datetime import datetime

import msgspec

from moorage_cluster.decoding import decode_answer
from moorage_cluster.errors import NotFoundError
from moorage_cluster.session import ApiSession
from moorage_crds.names import PODS


class PodHeadMeta(msgspec.Struct, rename="camel"):
    """Which pod it is and whether it is being deleted."""

    uid: str
    deletion_timestamp: datetime | None = None


class PodHeadSpec(msgspec.Struct, rename="camel"):
    """Where the pod sits, empty while it is unbound."""

    node_name: str = ""


class PodHead(msgspec.Struct):
    """The few fields that decide what a refused write means."""

    metadata: PodHeadMeta
    spec: PodHeadSpec


async def read_pod(
    session: ApiSession, namespace: str, name: str, *, timeout_s: float | None = None
) -> PodHead | None:
    """Return the pod as it is now, ``None`` when there is none."""
    path = PODS.path(namespace, name)
    try:
        body = await session.request("GET", path, timeout_s=timeout_s)
    except NotFoundError:
        return None
    return decode_answer(body, PodHead, method="GET", path=path, what="pod")
