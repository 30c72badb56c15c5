"""The one place that knows the JIT: kernels are plain typed functions marked ``compiled``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Return the function as machine code, cached on disk beside its source."""
    return cast("F", numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def merged(function: F) -> F:
    """Return the function for use inside ``compiled`` ones, merged into its callers."""
    return cast("F", numba.njit(forceinline=True, nogil=True, error_model="numpy")(function))
