"""What the API server refuses, as exceptions that say whose fault it is and what to do.

Every error is also one of the three roots of ``moorage_policies.errors``: bad input (the object is
invalid), broken promise (we sent what no server accepts) or unavailable (the same call, or the
call decided again on fresh state, may go through later).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from moorage_policies.errors import (
    BadInputError,
    BrokenPromiseError,
    MoorageError,
    UnavailableError,
)


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of a ``Status``: the field at fault and what is wrong with it."""

    field: str
    message: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A refused or unanswered call.

    ``status`` is the HTTP status, 0 when no answer came: then nobody knows whether the server
    acted, and the caller must read again before it repeats a write. ``reason`` and ``causes`` are
    those of the ``Status`` object. ``retry_after_s`` is ``None`` when the server named no time.
    """

    method: str
    path: str
    status: int
    message: str
    reason: str = ""
    causes: tuple[Cause, ...] = ()
    retry_after_s: float | None = None

    def __str__(self) -> str:
        label = f"{self.status} {self.reason}".strip() if self.status else "no answer"
        return f"{self.method} {self.path}: {label}: {self.message}"


class ApiError(MoorageError):
    """A call to the API server that failed; ``failure`` has the facts."""

    remedy: ClassVar[str] = ""
    failure: Failure

    @classmethod
    def sentence(cls, failure: Failure) -> str:
        """Return the message that people read: the failure and what helps."""
        return f"{failure}; {cls.remedy}" if cls.remedy else str(failure)


class _RetryLaterError(ApiError, UnavailableError):
    def __init__(self, failure: Failure) -> None:
        UnavailableError.__init__(self, self.sentence(failure), retry_after_s=failure.retry_after_s)
        self.failure = failure


class ClusterUnavailableError(_RetryLaterError):
    """No answer, a time-out or a 5xx: a write may or may not have happened."""


class TooManyRequestsError(_RetryLaterError):
    """429: the server asks to come back in ``retry_after_s``."""


class NotFoundError(_RetryLaterError):
    """404: the object, its namespace or its kind is not there (any more)."""


class ConflictError(_RetryLaterError):
    """409: a precondition failed or the object exists; read again and decide again."""


class GoneError(_RetryLaterError):
    """410: the resource version or continue token is too old; list again."""


class UnauthorizedError(_RetryLaterError):
    """401, after the credentials were read once more."""

    remedy = "renew the kubeconfig's credentials or check the service account"


class ForbiddenError(_RetryLaterError):
    """403: authorization or an admission rule says no; RBAC can be granted later."""

    remedy = "grant the verb to this identity, or look at the quota or policy that is named"


class InvalidError(ApiError, BadInputError):
    """400 or 422: the object itself is refused; ``field`` is the first cause's."""

    def __init__(self, failure: Failure) -> None:
        BadInputError.__init__(self, self.sentence(failure))
        self.failure = failure
        self.field = failure.causes[0].field if failure.causes else ""


class UnacceptableRequestError(ApiError, BrokenPromiseError):
    """Another 3xx or 4xx: we sent a request that this server never accepts."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(self.sentence(failure))
        self.failure = failure


_SERVER_FAULT = 500
_BY_STATUS: dict[int, type[_RetryLaterError | InvalidError]] = {
    400: InvalidError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    408: ClusterUnavailableError,
    409: ConflictError,
    410: GoneError,
    422: InvalidError,
    429: TooManyRequestsError,
}


def to_error(failure: Failure) -> ApiError:
    """Return the exception for a failure."""
    if failure.status == 0 or failure.status >= _SERVER_FAULT:
        return ClusterUnavailableError(failure)
    return _BY_STATUS.get(failure.status, UnacceptableRequestError)(failure)
