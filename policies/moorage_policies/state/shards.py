"""A mapping whose frozen copy costs a few microseconds, however many entries it holds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, ValuesView
from itertools import chain
from typing import TypeVar
from zlib import crc32

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

SHARDS = 256


def text_digest(key: str) -> int:
    """Return a digest that is the same in every process, so that iteration replays in order."""
    return crc32(key.encode())


class FrozenShards(Mapping[Key, Value]):
    """An immutable mapping made of small dictionaries that nobody writes to any more."""

    __slots__ = ("_digest", "_shards", "_size")

    def __init__(
        self, shards: tuple[dict[Key, Value], ...], size: int, digest: Callable[[Key], int]
    ) -> None:
        self._shards = shards
        self._size = size
        self._digest = digest

    def __getitem__(self, key: Key) -> Value:
        return self._shards[self._digest(key) % SHARDS][key]

    def __iter__(self) -> Iterator[Key]:
        for shard in self._shards:
            yield from shard

    def __len__(self) -> int:
        return self._size

    def values(self) -> ValuesView[Value]:
        """Return the values; walking them digests no key."""
        return _ShardValues(self, self._shards)


class _ShardValues(ValuesView[Value]):
    __slots__ = ("_shards",)

    def __init__(
        self, mapping: FrozenShards[Key, Value], shards: tuple[dict[Key, Value], ...]
    ) -> None:
        super().__init__(mapping)
        self._shards = shards

    def __iter__(self) -> Iterator[Value]:
        return chain.from_iterable(shard.values() for shard in self._shards)


class Shards(Mapping[Key, Value]):
    """A mapping with one writer; ``freeze`` shares all shards, a later write copies one.

    Args:
        digest: maps a key to an integer that says which shard holds it.
    """

    __slots__ = ("_digest", "_frozen", "_owned", "_shards", "_size")

    def __init__(self, digest: Callable[[Key], int]) -> None:
        self._digest = digest
        self._shards: list[dict[Key, Value]] = [{} for _ in range(SHARDS)]
        self._owned = set(range(SHARDS))
        self._size = 0
        self._frozen: FrozenShards[Key, Value] | None = None

    def __getitem__(self, key: Key) -> Value:
        return self._shards[self._digest(key) % SHARDS][key]

    def __iter__(self) -> Iterator[Key]:
        for shard in self._shards:
            yield from shard

    def __len__(self) -> int:
        return self._size

    def put(self, key: Key, value: Value) -> None:
        """Store the value under the key."""
        shard = self._own(key)
        self._size += key not in shard
        shard[key] = value

    def drop(self, key: Key) -> None:
        """Forget the key if it is there."""
        if key in self._shards[self._digest(key) % SHARDS]:
            del self._own(key)[key]
            self._size -= 1

    def freeze(self) -> FrozenShards[Key, Value]:
        """Return the content as it is now; the same object while nothing changed."""
        if self._frozen is None:
            self._frozen = FrozenShards(tuple(self._shards), self._size, self._digest)
            self._owned.clear()
        return self._frozen

    def _own(self, key: Key) -> dict[Key, Value]:
        number = self._digest(key) % SHARDS
        if number not in self._owned:
            self._shards[number] = dict(self._shards[number])
            self._owned.add(number)
        self._frozen = None
        return self._shards[number]
