"""Scaling: how many replicas each role of a pool should have, decided for all roles at once."""

from moorage_policies.scaling.observation import Observation, RoleReading, Sight
from moorage_policies.scaling.params import Params, RatioBand, RoleParams, check_params
from moorage_policies.scaling.state import State, begin
from moorage_policies.scaling.step import step
from moorage_policies.scaling.targets import Alternative, RoleTarget, Targets

__all__ = [
    "Alternative",
    "Observation",
    "Params",
    "RatioBand",
    "RoleParams",
    "RoleReading",
    "RoleTarget",
    "Sight",
    "State",
    "Targets",
    "begin",
    "check_params",
    "step",
]
