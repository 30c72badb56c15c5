"""Pools as records: the body, and the few fields that are asked before it is decoded."""

from __future__ import annotations

import msgspec

from moorage_operator.services.surroundings import NamedObject
from moorage_operator.services.view import PoolRecord


def read_pool_record(body: bytes) -> PoolRecord:
    """Return the record of a pool.

    Raises:
        msgspec.DecodeError: the body is no Kubernetes object.
    """
    meta = msgspec.json.decode(body, type=NamedObject).metadata
    return PoolRecord(
        key=(meta.namespace, meta.name),
        uid=meta.uid,
        resource_version=int(meta.resource_version),
        generation=meta.generation,
        is_terminating=meta.deletion_timestamp is not None,
        body=body,
    )
