"""What can go wrong with a local control plane, each with what to do about it."""

from __future__ import annotations

from moorage_policies.errors import BadInputError, UnavailableError


class UnknownMinorError(BadInputError):
    """A Kubernetes minor that this release has no pinned build of."""


class MissingBinariesError(UnavailableError):
    """A program of the control plane is neither installed nor in the cache."""


class BuildFailedError(UnavailableError):
    """A program could not be built from its Go module."""


class ComponentFailedError(UnavailableError):
    """A component exited, or was not ready before its deadline; the message ends in its log."""


class RequestRefusedError(UnavailableError):
    """The API server answered a request with an error status.

    Args:
        status: HTTP status code.
        message: what the server said.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status
