"""How often something may be done: so many times a minute, in all and for each namespace."""

from __future__ import annotations

from collections import OrderedDict

from moorage_policies.ports import Clock

NAMESPACES_KEPT = 1000
_MINUTE_S = 60.0


class Bucket:
    """Tokens that come back evenly over a minute.

    Args:
        per_minute: tokens per minute, and most at once.
        now_s: monotonic seconds.
    """

    __slots__ = ("_filled_s", "_per_minute", "_tokens")

    def __init__(self, per_minute: int, now_s: float) -> None:
        self._per_minute = per_minute
        self._tokens = float(per_minute)
        self._filled_s = now_s

    def has_token(self, now_s: float) -> bool:
        """Return whether there is one."""
        gained = (now_s - self._filled_s) * self._per_minute / _MINUTE_S
        self._tokens = min(float(self._per_minute), self._tokens + gained)
        self._filled_s = now_s
        return self._tokens >= 1

    def take(self) -> None:
        """Take the token that ``has_token`` saw."""
        self._tokens -= 1


class Rates:
    """A limit in all and one for each namespace, so that none takes the whole.

    Args:
        per_minute: times a minute in all.
        per_namespace: times a minute for one namespace.
        clock: monotonic seconds.
    """

    def __init__(self, per_minute: int, per_namespace: int, clock: Clock) -> None:
        self._per_namespace = per_namespace
        self._clock = clock
        self._all = Bucket(per_minute, clock())
        self._by_namespace: OrderedDict[str, Bucket] = OrderedDict()

    def allow(self, namespace: str) -> bool:
        """Return whether it may be done once more for the namespace, and count it if so."""
        now_s = self._clock()
        bucket = self._by_namespace.get(namespace)
        if bucket is None:
            bucket = self._by_namespace[namespace] = Bucket(self._per_namespace, now_s)
        self._by_namespace.move_to_end(namespace)
        if len(self._by_namespace) > NAMESPACES_KEPT:
            self._by_namespace.popitem(last=False)
        if not (self._all.has_token(now_s) and bucket.has_token(now_s)):
            return False
        self._all.take()
        bucket.take()
        return True
