"""The facts that a search rests on, put together in steps between which the verbs answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import chain, islice
from typing import Final

from moorage_crds.planning import migrations_of
from moorage_crds.snapshot_file import PlannerSnapshot, encode_in_steps
from moorage_extender.context import Context
from moorage_policies.planning.facts import Facts
from moorage_policies.state import Snapshot
from moorage_policies.types import Pod

CHUNK: Final = 500


async def see(ctx: Context, snapshot: Snapshot, wanted: Iterable[str]) -> Facts:
    """Return the facts of one snapshot.

    Args:
        ctx: the extender's state and tools.
        snapshot: nodes and pods.
        wanted: UIDs of the pods that wait for room.
    """
    known = ctx.migrations.all()
    every = chain(snapshot.pending.values(), chain.from_iterable(snapshot.node_pods))
    pods: list[Pod] = []
    migrations: dict[str, str] = {}
    while some := tuple(islice(every, CHUNK)):
        pods += some
        migrations |= migrations_of(some, known)
        await asyncio.sleep(0)
    return Facts(
        at_s=ctx.wall_clock(),
        generation=snapshot.generation,
        nodes=snapshot.nodes,
        pods=tuple(pods),
        budgets=ctx.budgets.current(),
        plans=tuple(ctx.kept_room.plans.values()),
        migrations=migrations,
        wanted=tuple(wanted),
    )


async def encode(snapshot: PlannerSnapshot) -> tuple[bytes, ...]:
    """Return the encoded snapshot in pieces."""
    pieces = []
    for piece in encode_in_steps(snapshot):
        pieces.append(piece)
        await asyncio.sleep(0)
    return tuple(pieces)
