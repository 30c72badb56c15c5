"""Decodes what a watch sends: the frame first, the object once, errors as exceptions."""

from __future__ import annotations

from typing import Generic, Literal, Protocol, TypeVar

import msgspec

from moorage_cluster.errors import ClusterUnavailableError, Failure, to_error
from moorage_cluster.progress import EventType
from moorage_cluster.status import Status, failure_of


class Meta(Protocol):
    """The one field of an object's metadata that following a list needs."""

    @property
    def resource_version(self) -> str:
        """Return the revision of the object's last change, a decimal number."""
        ...


class Listed(Protocol):
    """Any object that has metadata."""

    @property
    def metadata(self) -> Meta:
        """Return the metadata."""
        ...


T = TypeVar("T", bound=Listed)


class Frame(msgspec.Struct, gc=False):
    """One line of a watch, its object still undecoded."""

    type: EventType
    object: msgspec.Raw


class _AnyFrame(msgspec.Struct, gc=False):
    type: EventType | Literal["ERROR"]
    object: msgspec.Raw


class _OnlyMeta(msgspec.Struct, rename="camel", gc=False):
    resource_version: str


class OnlyRevision(msgspec.Struct, gc=False):
    """An object of which only the revision is read."""

    metadata: _OnlyMeta


_FRAMES = msgspec.json.Decoder(_AnyFrame)
_REVISIONS = msgspec.json.Decoder(OnlyRevision)
_STATUSES = msgspec.json.Decoder(Status)
_INTERNAL_ERROR = 500


class ItemDecoder(Generic[T]):
    """Decodes objects of one type; what does not fit the type is counted, never fatal.

    One odd object must not blind us to all others. ``failures`` counts them, ``last_failure`` says
    what did not fit.
    """

    def __init__(self, item_type: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(item_type)
        self.failures = 0
        self.last_failure = ""

    def decode(self, raw: msgspec.Raw) -> T | None:
        """Return the object, ``None`` when it does not fit the type."""
        try:
            return self._decoder.decode(raw)
        except msgspec.DecodeError as error:
            self.failures += 1
            self.last_failure = str(error)
            return None


def decode_frame(path: str, line: bytes) -> Frame:
    """Return the frame in a line; an ERROR frame and garbage are raised.

    Raises:
        GoneError: the watch's revision is too old.
        ApiError: the server ended the watch for another reason, or the line is no frame.
    """
    try:
        frame = _FRAMES.decode(line)
        if frame.type != "ERROR":
            return Frame(frame.type, frame.object)
        status = _STATUSES.decode(frame.object)
    except msgspec.DecodeError as error:
        raise _garbled(path, str(error)) from error
    raise to_error(failure_of("WATCH", path, status, status.code or _INTERNAL_ERROR))


def revision_of(path: str, raw: msgspec.Raw) -> int:
    """Return the revision of an undecoded object."""
    try:
        return to_revision(path, _REVISIONS.decode(raw).metadata.resource_version)
    except msgspec.DecodeError as error:
        raise _garbled(path, str(error)) from error


def to_revision(path: str, text: str) -> int:
    """Return a resourceVersion as the number that Kubernetes lets clients compare."""
    if not (text.isascii() and text.isdigit()):
        raise _garbled(path, f"resourceVersion {text!r} is no number")
    return int(text)


def _garbled(path: str, message: str) -> ClusterUnavailableError:
    return ClusterUnavailableError(Failure("WATCH", path, status=0, message=message))
