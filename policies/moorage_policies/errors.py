"""The one error tree: who is at fault decides what a door does with it."""

from __future__ import annotations


class MoorageError(Exception):
    """Base of every error that Moorage raises on purpose; never raised itself."""


class BadInputError(MoorageError):
    """What the caller gave cannot be used; the message names the field and the remedy.

    Args:
        message: what is wrong and what to write instead.
        field: path of the offending field (``spec.roles[0].accelerators``), empty when the whole
            input is unusable.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class BrokenPromiseError(MoorageError):
    """Moorage itself broke an invariant: a bug, never to be retried."""


class UnavailableError(MoorageError):
    """Something outside does not answer now; the same call may go through later.

    Args:
        message: what did not answer.
        retry_after_s: seconds to wait before the next try, ``None`` when nobody said.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
