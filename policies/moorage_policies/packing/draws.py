"""Random numbers inside compiled kernels."""

from __future__ import annotations

import numpy as np

from moorage_policies.packing.compiled import merged
from moorage_policies.types import IntArray


@merged
def draw_below(seed: IntArray, below: int) -> int:
    """Return a number from 0 to ``below`` - 1 (xorshift; ``below`` fits in 32 bits).

    Numba looks for changes in a kernel's own file only: whoever changes this one clears the caches.
    """
    x = np.uint64(seed[0])
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    seed[0] = np.int64(x)
    return np.int64(((x >> np.uint64(32)) * np.uint64(below)) >> np.uint64(32))  # type: ignore[return-value]
