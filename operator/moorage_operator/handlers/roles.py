"""Role objects: a count that somebody wrote wakes the pool."""

from __future__ import annotations

import kopf
import msgspec

from moorage_crds.names import ROLES
from moorage_operator.children import read_child
from moorage_operator.handlers.memo import Memo


async def role_changed(event: kopf.RawEvent, memo: Memo, **_: object) -> None:
    """Take note of a role object as the watch shows it."""
    child = read_child(ROLES, msgspec.json.encode(event["object"]))
    if event["type"] == "DELETED":
        memo.view.drop_child(child)
    else:
        memo.view.put_child(child)


def register(registry: kopf.OperatorRegistry) -> None:
    """Listen to role objects."""
    kopf.on.event(ROLES.group, ROLES.version, ROLES.plural, registry=registry)(role_changed)
