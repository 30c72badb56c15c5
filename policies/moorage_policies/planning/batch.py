"""When to solve: soon after the last newcomer, never long after the first, seldom without news."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, field, replace

LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class BatchParams:
    """How pods are gathered.

    Args:
        debounce_s: quiet seconds after the last newcomer.
        longest_s: most seconds after the first one.
        retry_s: first pause before the same pods are looked at again; it doubles.
        delay_s: seconds that a pod waits before anything is planned for it, for an autoscaler.
    """

    debounce_s: float = 1.0
    longest_s: float = 5.0
    retry_s: float = 5.0
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Batch:
    """What is gathered, and what was answered already.

    Args:
        first_s: when the oldest newcomer came, ``None`` while there is none.
        last_s: when the youngest came.
        newcomers: pods that no answer covers yet.
        seen_s: since when each waiting pod is known.
        answered: pods that the last answers covered and that still wait.
        solved_s: when was last solved.
        pause_s: pause before the answered ones are looked at again.
        generation: generation of the facts that were solved.
        world: what the nodes were like then.
    """

    first_s: float | None = None
    last_s: float = 0.0
    newcomers: frozenset[str] = frozenset()
    seen_s: tuple[tuple[str, float], ...] = ()
    answered: frozenset[str] = frozenset()
    solved_s: float = 0.0
    pause_s: float = 0.0
    generation: int = -1
    world: Hashable = field(default=None)


def observe(
    batch: Batch,
    waiting: Collection[str],
    *,
    generation: int,
    world: Hashable,
    now_s: float,
    params: BatchParams,
) -> tuple[Batch, bool]:
    """Return the batch after a look at the cluster, and whether to solve now.

    Args:
        batch: the batch so far.
        waiting: UIDs of pods that wait for room.
        generation: generation of the facts.
        world: changes when nodes, the policy or running plans do; answers are void then.
        now_s: monotonic seconds.
        params: how pods are gathered.
    """
    since = dict(batch.seen_s)
    seen = {uid: since.get(uid, now_s) for uid in sorted(waiting)}
    ripe = {uid for uid, first_s in seen.items() if now_s - first_s >= params.delay_s}
    answered = batch.answered & ripe
    if world != batch.world:
        answered = frozenset()
    newcomers = frozenset(ripe - answered)
    fresh = newcomers - batch.newcomers
    first_s = batch.first_s if batch.first_s is not None else now_s
    batch = replace(
        batch,
        first_s=first_s if newcomers else None,
        last_s=now_s if fresh else batch.last_s,
        newcomers=newcomers,
        seen_s=tuple(seen.items()),
        answered=answered,
        world=world,
    )
    return batch, _is_due(batch, generation, now_s, params)


def _is_due(batch: Batch, generation: int, now_s: float, params: BatchParams) -> bool:
    if batch.first_s is not None:
        quiet = now_s - batch.last_s >= params.debounce_s
        return quiet or now_s - batch.first_s >= params.longest_s
    rested = now_s - batch.solved_s >= batch.pause_s
    return bool(batch.answered) and rested and generation != batch.generation


def solved(
    batch: Batch, covered: Collection[str], *, generation: int, now_s: float, params: BatchParams
) -> Batch:
    """Return the batch after an answer for the pods it covered."""
    repeated = batch.first_s is None
    pause_s = min(LONGEST_PAUSE_S, 2 * batch.pause_s) if repeated else params.retry_s
    left = batch.newcomers - set(covered)
    return replace(
        batch,
        first_s=now_s if left else None,
        newcomers=frozenset(left),
        answered=batch.answered | set(covered),
        solved_s=now_s,
        pause_s=max(pause_s, params.retry_s),
        generation=generation,
    )
