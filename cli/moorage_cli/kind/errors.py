"""What can go wrong with a kind cluster, each with what to do about it."""

from __future__ import annotations

from moorage_policies.errors import UnavailableError


class MachineUnfitError(UnavailableError):
    """This machine can run neither a container engine nor, so, a kind cluster."""


class StepFailedError(UnavailableError):
    """A program that makes a part of the cluster failed; the message ends in what it said."""
