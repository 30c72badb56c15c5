"""Values by the bytes they were decoded from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Raw

Value = TypeVar("Value")

REMEMBERED = 8


class Remembered(Generic[Value]):
    """Decodes and remembers the last few values.

    kube-scheduler sends a pod and the names that filter answered to prioritize byte by byte as
    before, so that the second call of a pod need not decode them.

    Args:
        decode: makes a value of the bytes; what it raises is not remembered.
    """

    __slots__ = ("_decode", "_known")

    def __init__(self, decode: Callable[[Raw], Value]) -> None:
        self._decode = decode
        self._known: OrderedDict[bytes, Value] = OrderedDict()

    def decode(self, raw: Raw) -> Value:
        """Return the value of the bytes."""
        key = bytes(raw)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        # from the copy: a view would keep the whole request in memory
        value = self._known[key] = self._decode(Raw(key))
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return value
