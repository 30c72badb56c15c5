"""What keeps a pool from being served as written, told with field and remedy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, for a condition of the pool's status.

    Args:
        reason: CamelCase word for machines (``UnknownAcceleratorClass``).
        message: what is wrong and what to do about it, for people.
        field: path of the field to change; empty when no field of the pool is at fault.
        role: the role it concerns; empty for the whole pool.
    """

    reason: str
    message: str
    field: str = ""
    role: str = ""

    @property
    def text(self) -> str:
        """Return the message with its field in front."""
        return f"{self.field}: {self.message}" if self.field else self.message
