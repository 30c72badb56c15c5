"""Nodes whose accelerators fail: which to keep new pods off, and where their pods may go."""

from moorage_policies.health.quarantine import NodeRecord, choose_quarantined, look
from moorage_policies.health.relocation import Relocation, choose_targets
from moorage_policies.health.signs import (
    APPLICATION_XIDS,
    SICK_CONDITIONS,
    DriverError,
    HealthParams,
    NodeReading,
    Refusal,
    Sign,
    find_signs,
)

__all__ = [
    "APPLICATION_XIDS",
    "SICK_CONDITIONS",
    "DriverError",
    "HealthParams",
    "NodeReading",
    "NodeRecord",
    "Refusal",
    "Relocation",
    "Sign",
    "choose_quarantined",
    "choose_targets",
    "find_signs",
    "look",
]
