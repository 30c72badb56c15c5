"""How a reconcile ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reconcile ended.

    Args:
        is_refused: the API server refused a part of it; it should be tried again, later and later.
        look_again_s: seconds after which the same facts would give another plan.
    """

    is_refused: bool = False
    look_again_s: float | None = None
