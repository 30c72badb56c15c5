"""What speaks for failing accelerators on one node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from moorage_policies.types import NVIDIA_GPU

COUNT_LABEL: Final = "nvidia.com/gpu.count"
REPLICAS_LABEL: Final = "nvidia.com/gpu.replicas"
MIG_STRATEGY_LABEL: Final = "nvidia.com/mig.strategy"

SICK_CONDITIONS: Final[Mapping[str, str]] = {
    "AcceleratedHardwareReady": "False",
    "GPUMissing": "True",
    "XIDErrors": "True",
    "NVLinkStatusInactive": "True",
}
"""Node conditions of providers' own health agents, and the status of each that means failing."""


APPLICATION_XIDS: Final = frozenset({13, 31, 43, 45, 68, 109})
"""Driver errors that a program causes, while its device is well: graphics engine exception, page
fault, stopped processing, preemptive clean-up, video processor exception, context switch."""


@dataclass(frozen=True, slots=True)
class HealthParams:
    """Limits of the health decisions.

    Args:
        resources: resources that count accelerators.
        conditions: type of a node condition to the status that means failing.
        refusals: pods that the kubelet refused within the window before that is a sign.
        window_s: the window, seconds.
        grace_s: seconds for which signs must hold before the node counts as sick: a device plugin
            that restarts takes all devices away for a moment.
        recovery_s: seconds without any sign after which the node is used again.
        max_share_ratio: largest share of the nodes with accelerators that may be quarantined at
            once, 0 to 1; one node always may. What hits many nodes together is seldom hardware.
    """

    resources: frozenset[str] = frozenset({NVIDIA_GPU})
    conditions: Mapping[str, str] = field(default_factory=lambda: SICK_CONDITIONS)
    refusals: int = 3
    window_s: float = 600.0
    grace_s: float = 60.0
    recovery_s: float = 3600.0
    max_share_ratio: float = 0.25


@dataclass(frozen=True, slots=True, order=True)
class DriverError:
    """The number of the last error (XID) that the driver reported for a device."""

    device: str
    xid: int


@dataclass(frozen=True, slots=True)
class NodeReading:
    """What a node says of its accelerators.

    Args:
        name: the node.
        labels: its labels.
        capacity: devices and other resources that the kubelet knows.
        allocatable: those of them that pods may have.
        conditions: type of each condition to its status.
        errors: what the driver reports of its devices.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    capacity: Mapping[str, int] = field(default_factory=dict)
    allocatable: Mapping[str, int] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[DriverError, ...] = ()

    def carries(self, resources: Iterable[str]) -> bool:
        """Return whether the node has accelerators, or had some when they were last counted."""
        return COUNT_LABEL in self.labels or any(self.capacity.get(name) for name in resources)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A pod that was bound to a node and that the kubelet there refused, at Unix seconds."""

    node: str
    pod: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that speaks for failing accelerators.

    Args:
        reason: one word for programs.
        message: the same for people.
    """

    reason: str
    message: str


def find_signs(
    reading: NodeReading, refusals: Iterable[Refusal], params: HealthParams, now_s: float
) -> tuple[Sign, ...]:
    """Return everything that speaks for failing accelerators on a node.

    Args:
        reading: the node.
        refusals: pods that its kubelet refused, of any age.
        params: limits.
        now_s: Unix seconds.
    """
    return (
        *_unhealthy(reading, params),
        *_lost(reading, params),
        *_reported(reading),
        *_told(reading, params),
        *_refused(reading, refusals, params, now_s),
    )


def _unhealthy(reading: NodeReading, params: HealthParams) -> Iterator[Sign]:
    """Yield what the device plugin calls unhealthy: the kubelet takes it off allocatable."""
    for resource in sorted(params.resources):
        known, usable = reading.capacity.get(resource, 0), reading.allocatable.get(resource, 0)
        if usable < known:
            message = f"{known - usable} of {known} {resource} are unhealthy"
            yield Sign("DevicesUnhealthy", message)


def _lost(reading: NodeReading, params: HealthParams) -> Iterator[Sign]:
    """Yield devices that feature discovery counted once and the kubelet does not know any more."""
    counted = _number(reading.labels.get(COUNT_LABEL))
    mixed = reading.labels.get(MIG_STRATEGY_LABEL) == "mixed"  # then slices have other names
    if counted is None or mixed or NVIDIA_GPU not in params.resources:
        return
    expected = counted * (_number(reading.labels.get(REPLICAS_LABEL)) or 1)
    known = reading.capacity.get(NVIDIA_GPU, 0)
    if known < expected:
        message = f"{expected - known} of {expected} {NVIDIA_GPU} are gone"
        yield Sign("DevicesLost", message)


def _reported(reading: NodeReading) -> Iterator[Sign]:
    critical = [error for error in reading.errors if error.xid not in APPLICATION_XIDS]
    if critical:
        listed = ", ".join(f"XID {error.xid} on {error.device}" for error in critical)
        yield Sign("DriverErrors", f"the driver reports {listed}")


def _told(reading: NodeReading, params: HealthParams) -> Iterator[Sign]:
    for kind, sick in sorted(params.conditions.items()):
        if reading.conditions.get(kind) == sick:
            yield Sign("NodeCondition", f"condition {kind} is {sick}")


def _refused(
    reading: NodeReading, refusals: Iterable[Refusal], params: HealthParams, now_s: float
) -> Iterator[Sign]:
    recent = {
        refusal.pod
        for refusal in refusals
        if refusal.node == reading.name and now_s - refusal.at_s < params.window_s
    }
    if len(recent) >= params.refusals:
        message = f"the kubelet refused {len(recent)} pods in {params.window_s:.0f} s"
        yield Sign("PodsRefused", message)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
