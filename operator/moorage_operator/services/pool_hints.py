"""The hint of a pool: what it means, and a warning where it means nothing."""

from __future__ import annotations

from collections.abc import Callable

from moorage_cluster.events import Subject
from moorage_crds.conditions import HINT_UNDERSTOOD
from moorage_crds.names import HINT_INTENTS_ANNOTATION, POOLS
from moorage_crds.pool import GPUInferencePool
from moorage_operator.services.announcing import Tell
from moorage_operator.services.hint_reading import BY_HAND, HintReader, ReadHint, read_by_hand
from moorage_operator.services.pool_pods import PoolKey

UNDERSTOOD = ("Understood", "PartlyUnderstood", BY_HAND)


class PoolHints:
    """Reads pools' hints for their statuses.

    Args:
        reader: reads.
        tell: writes events.
        is_off: whether the cluster's policy switches hints off.
        wake: lets a pool be told again once a language model answered.
        count: told how each new hint was understood.
    """

    def __init__(
        self,
        reader: HintReader,
        tell: Tell,
        *,
        is_off: Callable[[], bool],
        wake: Callable[[PoolKey], None],
        count: Callable[[str], None],
    ) -> None:
        self._reader = reader
        self._tell = tell
        self._is_off = is_off
        self._wake = wake
        self._count = count

    def read(self, pool: GPUInferencePool) -> ReadHint | None:
        """Return what the pool's hint means, ``None`` without one or where hints are off."""
        text = pool.spec.hints
        written = pool.metadata.annotations.get(HINT_INTENTS_ANNOTATION, "")
        if not (text or written) or self._is_off():
            return None
        by_hand = read_by_hand(text, written) if written else None
        if by_hand is not None:
            return by_hand
        if pool.status.hint is not None:
            self._reader.adopt(text, pool.status.hint.manifest())
        key = (pool.metadata.namespace, pool.metadata.name)
        return self._reader.read(pool.metadata.namespace, text, lambda: self._wake(key))

    async def warn(self, pool: GPUInferencePool, hint: ReadHint | None) -> None:
        """Count a hint that the status did not speak of yet, and warn if it means nothing.

        Raises:
            ApiError: the event was refused.
        """
        if hint is None or _is_known(pool, hint):
            return
        self._count(hint.outcome)
        if hint.outcome in UNDERSTOOD:
            return
        meta = pool.metadata
        subject = Subject(meta.namespace, meta.name, meta.uid, POOLS.kind, POOLS.api_version)
        await self._tell(subject, f"Hint{hint.outcome}", hint.describe())


def _is_known(pool: GPUInferencePool, hint: ReadHint) -> bool:
    """Return whether the pool's status, as it was before, says the same of the same text."""
    told = next((c for c in pool.status.conditions if c.type == HINT_UNDERSTOOD), None)
    known = pool.status.hint
    if told is None or known is None:
        return False
    return told.reason == hint.outcome and known.of == hint.to_status()["of"]
