"""Pools: every event of one is noted and wakes its reconcile."""

from __future__ import annotations

import kopf
import msgspec

from moorage_crds.names import POOLS
from moorage_operator.handlers.memo import Memo
from moorage_operator.services.records import read_pool_record


async def pool_changed(event: kopf.RawEvent, memo: Memo, **_: object) -> None:
    """Take note of a pool as the watch shows it."""
    record = read_pool_record(msgspec.json.encode(event["object"]))
    if event["type"] == "DELETED":
        memo.view.drop_pool(record.key, record.uid)
    else:
        memo.view.put_pool(record)


def register(registry: kopf.OperatorRegistry) -> None:
    """Listen to pools."""
    kopf.on.event(POOLS.group, POOLS.version, POOLS.plural, registry=registry)(pool_changed)
