"""Who gives up replicas when a pool of higher priority found no place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from moorage_operator.services.pool_pods import PoolKey
from moorage_operator.services.scaling_room import held_gpus
from moorage_operator.services.scaling_turn import Turn
from moorage_policies.scaling import Targets
from moorage_policies.scaling.joint import join
from moorage_policies.scaling.shares import Claim, Shares, next_to_yield, share
from moorage_policies.scaling.step import frame_of
from moorage_policies.types import NVIDIA_GPU, Decision


def let_yield(turns: Sequence[Turn]) -> Shares | None:
    """Let pools give up replicas to those of higher priority that found no place.

    What a floor lacks is given up at once, so that it takes one drain. Above the floors one replica
    goes at a time, and nobody while another is on its way out.

    Args:
        turns: all pools, the highest priority first; decisions of those that yield are replaced.

    Returns:
        Everybody's share, ``None`` when nobody is short.
    """
    short = [turn for turn in turns if any(reach.missing for reach in turn.reach)]
    if not short:
        return None
    snapshot = turns[0].facts.snapshot
    column = snapshot.columns.get(NVIDIA_GPU)
    total = int(snapshot.allocatable[:, column].sum()) if column is not None else 0
    claims = [_claim(turn, turns) for turn in turns]
    shares = share(claims, total).value
    freed = sum(_freed_gpus(turn) for turn in turns)
    if freed == 0 and not any(_lacking_gpus(turn) for turn in short):
        _yield_one(turns, claims, shares, short[0])
        return shares
    for turn in short:
        freed -= _lacking_gpus(turn)
        while freed < 0:
            given = _yield_one(turns, claims, shares, turn)
            if given == 0:
                break
            freed += given
        freed = max(0, freed)
    return shares


def _yield_one(turns: Sequence[Turn], claims: list[Claim], shares: Shares, taker: Turn) -> int:
    """Let one replica go that is due to the taker; return the accelerators it holds."""
    may = [t.acts and t.priority < taker.priority for t in turns]
    while any(may):
        place = next_to_yield(claims, shares, may)
        if place is None:
            return 0
        fewer = _give_up_one(turns[place], taker.key)
        if fewer is not None:
            gpus = _kept_gpus(turns[place], turns[place].decision.value)
            gpus -= _kept_gpus(turns[place], fewer.value)
            turns[place].decision = fewer
            held = max(0, claims[place].held_gpus - gpus)
            claims[place] = replace(claims[place], held_gpus=held)
            return gpus
        may[place] = False  # its bounds or its ratio hold all that it has
    return 0


def _claim(turn: Turn, turns: Sequence[Turn]) -> Claim:
    levels = sorted({other.priority for other in turns})
    floor = sum(low * role.gpus for low, role in zip(_floors(turn), turn.params.roles, strict=True))
    missing = {reach.role: reach.missing for reach in turn.reach}
    demand = sum(
        (target.replicas + missing.get(target.role, 0)) * role.gpus
        for target, role in zip(turn.decision.value.roles, turn.params.roles, strict=True)
    )
    offline = turn.pool.spec.scaling is not None and turn.pool.spec.scaling.sla is None
    return Claim(
        "/".join(turn.key),
        turn.priority,
        floor,
        max(floor, demand),
        held_gpus(turn.facts),
        float(1 + levels.index(turn.priority)),
        offline,
    )


def _floors(turn: Turn) -> list[int]:
    return [
        max(role.min_replicas, turn.observation.floor_of(place))
        for place, role in enumerate(turn.params.roles)
    ]


def _lacking_gpus(turn: Turn) -> int:
    """Return the accelerators that the floors ask for and that have no place yet."""
    placed = {reach.role: reach for reach in turn.reach}
    return sum(
        role.gpus * min(placed[role.role].missing, max(0, low - placed[role.role].replicas))
        for low, role in zip(_floors(turn), turn.params.roles, strict=True)
        if role.role in placed
    )


def _freed_gpus(turn: Turn) -> int:
    """Return the accelerators that are held beyond the counts: on their way out, or soon."""
    return sum(
        max(0, held_gpus(turn.facts, role.role) - role.gpus * _kept(turn, place))
        for place, role in enumerate(turn.params.roles)
    )


def _kept(turn: Turn, place: int) -> int:
    target = turn.decision.value.roles[place]
    return min(target.before, target.replicas) if turn.acts else target.before


def _kept_gpus(turn: Turn, targets: Targets) -> int:
    return sum(
        role.gpus * min(target.before, target.replicas)
        for target, role in zip(targets.roles, turn.params.roles, strict=True)
    )


def _give_up_one(turn: Turn, taker: PoolKey) -> Decision[Targets] | None:
    """Return the decision with one replica less than it keeps, ``None`` if its frame forbids."""
    counts = [min(target.before, target.replicas) for target in turn.decision.value.roles]
    frame = frame_of(turn.params, turn.observation, is_blind=False)
    spare = [place for place, low in enumerate(frame.lows) if counts[place] > low]
    if not spare:
        return None
    most = max(spare, key=lambda place: counts[place])
    budget = frame.cost_gpus(counts) - frame.gpus[most]
    fewer = join(counts, replace(frame, max_gpus=budget))
    if fewer is None:
        return None
    reason = f"yields to {'/'.join(taker)}, which is of higher priority and found no place"
    roles = tuple(
        replace(target, replicas=min(count, before), reason=reason)
        for target, count, before in zip(turn.decision.value.roles, fewer, counts, strict=True)
    )
    targets = replace(turn.decision.value, roles=roles, limit=reason)
    return Decision(targets, reason, turn.decision.inputs)
