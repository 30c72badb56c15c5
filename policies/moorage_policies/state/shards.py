"""A mapping whose frozen copy costs a few microseconds, however many entries it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar
from zlib import crc32

Value = TypeVar("Value")

SHARDS = 256


class FrozenShards(Mapping[str, Value]):
    """An immutable mapping made of small dictionaries that nobody writes to any more."""

    __slots__ = ("_shards", "_size")

    def __init__(self, shards: tuple[dict[str, Value], ...], size: int) -> None:
        self._shards = shards
        self._size = size

    def __getitem__(self, key: str) -> Value:
        return self._shards[_shard_of(key)][key]

    def __iter__(self) -> Iterator[str]:
        for shard in self._shards:
            yield from shard

    def __len__(self) -> int:
        return self._size


class Shards(Mapping[str, Value]):
    """A mapping with one writer; ``freeze`` shares all shards, a later write copies one."""

    __slots__ = ("_frozen", "_owned", "_shards", "_size")

    def __init__(self) -> None:
        self._shards: list[dict[str, Value]] = [{} for _ in range(SHARDS)]
        self._owned = set(range(SHARDS))
        self._size = 0
        self._frozen: FrozenShards[Value] | None = None

    def __getitem__(self, key: str) -> Value:
        return self._shards[_shard_of(key)][key]

    def __iter__(self) -> Iterator[str]:
        for shard in self._shards:
            yield from shard

    def __len__(self) -> int:
        return self._size

    def put(self, key: str, value: Value) -> None:
        """Store the value under the key."""
        shard = self._own(key)
        self._size += key not in shard
        shard[key] = value

    def drop(self, key: str) -> None:
        """Forget the key if it is there."""
        if key in self._shards[_shard_of(key)]:
            del self._own(key)[key]
            self._size -= 1

    def freeze(self) -> FrozenShards[Value]:
        """Return the content as it is now; the same object while nothing changed."""
        if self._frozen is None:
            self._frozen = FrozenShards(tuple(self._shards), self._size)
            self._owned.clear()
        return self._frozen

    def _own(self, key: str) -> dict[str, Value]:
        number = _shard_of(key)
        if number not in self._owned:
            self._shards[number] = dict(self._shards[number])
            self._owned.add(number)
        self._frozen = None
        return self._shards[number]


def _shard_of(key: str) -> int:
    # not hash(): it differs between processes, and iteration must replay in the same order
    return crc32(key.encode()) % SHARDS
