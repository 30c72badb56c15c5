"""Reads plans, and changes the one field of them that people may change."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from moorage_cluster.errors import NotFoundError
from moorage_cluster.session import ApiSession
from moorage_crds.names import PLANS
from moorage_crds.plan import PlacementPlan
from moorage_policies.errors import BadInputError


async def read_plans(session: ApiSession) -> tuple[PlacementPlan, ...]:
    """Return all plans, the newest first.

    Raises:
        BadInputError: the cluster serves no plans.
    """
    try:
        bodies = [
            bytes(item)
            async for page in session.list_pages(PLANS.path())
            for item in page.items or ()
        ]
    except NotFoundError as error:
        raise BadInputError(f"{error}; install Moorage's custom resources") from error
    plans = (_read(msgspec.json.decode(body)) for body in bodies)
    return tuple(sorted(plans, key=_created, reverse=True))


async def read_plan(session: ApiSession, name: str) -> PlacementPlan:
    """Return one plan.

    Raises:
        BadInputError: there is none of this name.
    """
    try:
        return _read(await session.get_json(PLANS.path("", name)))
    except NotFoundError as error:
        message = f"there is no plan {name}; `moorage plan list` names them"
        raise BadInputError(message, field="PLAN") from error


async def change_mode(
    session: ApiSession, plan: PlacementPlan, mode: Literal["Auto", "Off"]
) -> PlacementPlan:
    """Return the plan after its mode was changed; it must still be the one that was read."""
    body = {"metadata": {"uid": plan.metadata.uid}, "spec": {"mode": mode}}
    return _read(await session.patch(PLANS.path("", plan.metadata.name), body))


def _read(body: dict[str, Any]) -> PlacementPlan:
    return PlacementPlan.read(body)


def _created(plan: PlacementPlan) -> tuple[str, str]:
    return plan.metadata.creation_timestamp or "", plan.metadata.name
