"""One count for all roles: the ratio band, the bounds and the budget of accelerators at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from moorage_policies.scaling.params import RatioBand

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Frame:
    """What counts must keep to.

    Args:
        lows: fewest replicas by place of the role.
        highs: most replicas.
        gpus: accelerators of one replica.
        max_gpus: accelerators for all, ``None`` for no limit.
        pair: places of the ratio's numerator and denominator, ``None`` without a ratio.
        band: the ratio's band.
    """

    lows: tuple[int, ...]
    highs: tuple[int, ...]
    gpus: tuple[int, ...]
    max_gpus: int | None = None
    pair: tuple[int, int] | None = None
    band: RatioBand | None = None

    def cost_gpus(self, counts: Sequence[int]) -> int:
        """Return the accelerators that the counts take."""
        return sum(count * gpus for count, gpus in zip(counts, self.gpus, strict=True))

    def holds(self, counts: Sequence[int]) -> bool:
        """Return whether the counts keep bounds, ratio and budget."""
        bounds = all(a <= c <= b for a, c, b in zip(self.lows, counts, self.highs, strict=True))
        fits = self.max_gpus is None or self.cost_gpus(counts) <= self.max_gpus
        return bounds and fits and self.in_band(counts)

    def in_band(self, counts: Sequence[int]) -> bool:
        """Return whether the ratio is kept; no replicas at all keep every ratio."""
        if self.pair is None or self.band is None:
            return True
        above, below = counts[self.pair[0]], counts[self.pair[1]]
        return _lowest(self.band, below) <= above <= _highest(self.band, below)


def join(wished: Sequence[int], frame: Frame) -> tuple[int, ...] | None:
    """Return the counts nearest to the wish from above; below it where bounds or budget say so.

    Returns:
        The counts, or ``None`` when none keep the frame.
    """
    counts = [min(max(w, a), b) for w, a, b in zip(wished, frame.lows, frame.highs, strict=True)]
    raised = _raise_into_band(counts, frame)
    if frame.holds(raised):
        return tuple(raised)
    return _best_below(raised, frame)


def _raise_into_band(counts: list[int], frame: Frame) -> list[int]:
    if frame.pair is None or frame.band is None:
        return counts
    raised = list(counts)
    above, below = frame.pair
    raised[above] = max(raised[above], _lowest(frame.band, raised[below]))
    if raised[above] > _highest(frame.band, raised[below]):
        raised[below] = math.ceil(raised[above] / frame.band.high - ROUNDING)
        raised[above] = max(raised[above], _lowest(frame.band, raised[below]))
    return [min(count, most) for count, most in zip(raised, frame.highs, strict=True)]


def _best_below(wished: Sequence[int], frame: Frame) -> tuple[int, ...] | None:
    """Return the counts that serve the worst served role best, at least cost."""
    if frame.pair is None:
        return _shrink(list(wished), wished, frame)
    best: tuple[tuple[float, int], tuple[int, ...]] | None = None
    above, below = frame.pair
    for count in range(wished[below], frame.lows[below] - 1, -1):
        found = _with_denominator(count, wished, frame)
        if found is not None:
            served = min(_part(found[place], wished[place]) for place in (above, below))
            rank = (served, -frame.cost_gpus(found))
            if best is None or rank > best[0]:
                best = (rank, found)
    return best[1] if best else None


def _with_denominator(count: int, wished: Sequence[int], frame: Frame) -> tuple[int, ...] | None:
    assert frame.pair is not None
    assert frame.band is not None
    above, below = frame.pair
    counts = list(wished)
    counts[below] = count
    counts[above] = min(wished[above], _highest(frame.band, count))
    least = max(frame.lows[above], _lowest(frame.band, count))
    if counts[above] < least <= frame.highs[above]:
        counts[above] = least  # the bounds of the other role ask for more than was wished
    others = [place for place in range(len(counts)) if place not in frame.pair]
    _reduce(counts, [above, *others], (least, *(frame.lows[p] for p in others)), frame)
    return tuple(counts) if frame.holds(counts) else None


def _shrink(counts: list[int], wished: Sequence[int], frame: Frame) -> tuple[int, ...] | None:
    """Take replicas one by one from the role that is served best."""
    while not frame.holds(counts):
        movable = [p for p, low in enumerate(frame.lows) if counts[p] > low]
        if not movable:
            return None
        counts[max(movable, key=lambda p: _part(counts[p], wished[p]))] -= 1
    return tuple(counts)


def _reduce(counts: list[int], places: list[int], lows: Sequence[int], frame: Frame) -> None:
    """Lower the roles at these places until the budget is kept."""
    for place, low in zip(places, lows, strict=True):
        over = 0 if frame.max_gpus is None else frame.cost_gpus(counts) - frame.max_gpus
        if over > 0 and frame.gpus[place] > 0:
            counts[place] = max(low, counts[place] - math.ceil(over / frame.gpus[place]))


def _part(count: int, wished: int) -> float:
    return count / wished if wished else 1.0


def _lowest(band: RatioBand, below: int) -> int:
    return math.ceil(band.low * below - ROUNDING)


def _highest(band: RatioBand, below: int) -> int:
    """Return the most replicas above the line; one of each may always stand together."""
    most = math.floor(band.high * below + ROUNDING)
    return max(most, 1) if below and _lowest(band, below) <= 1 else most
