"""Plans: every event of one is noted and wakes its next look."""

from __future__ import annotations

import kopf
import msgspec

from moorage_crds.names import PLANS
from moorage_operator.handlers.memo import Memo


async def plan_changed(event: kopf.RawEvent, memo: Memo, **_: object) -> None:
    """Take note of a plan as the watch shows it."""
    memo.view.plans.note(event["type"] or "ADDED", msgspec.json.encode(event["object"]))


def register(registry: kopf.OperatorRegistry) -> None:
    """Listen to plans."""
    kopf.on.event(PLANS.group, PLANS.version, PLANS.plural, registry=registry)(plan_changed)
