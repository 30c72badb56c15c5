"""Tells people about an object: an event in its namespace."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from moorage_cluster.session import ApiSession
from moorage_crds.names import EVENTS

LONGEST_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that an event is about, a pod unless ``kind`` says otherwise."""

    namespace: str
    name: str
    uid: str
    kind: str = "Pod"
    api_version: str = "v1"


async def tell(
    session: ApiSession,
    subject: Subject,
    *,
    kind: Literal["Normal", "Warning"],
    reason: str,
    message: str,
    reporter: str,
) -> None:
    """Write one event about an object.

    Args:
        session: the session.
        subject: the object.
        kind: Normal or Warning.
        reason: one CamelCase word for programs.
        message: the same for people; cut at what the API server takes.
        reporter: who says it.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "apiVersion": "v1",
        "kind": EVENTS.kind,
        "metadata": {"name": f"{subject.name}.{uuid.uuid4().hex[:16]}"},
        "involvedObject": {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
        },
        "type": kind,
        "reason": reason,
        "message": message[:LONGEST_MESSAGE],
        "source": {"component": reporter},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "reportingComponent": reporter,
        "reportingInstance": reporter,
    }
    await session.create(EVENTS.path(subject.namespace), body)
