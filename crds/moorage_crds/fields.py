"""Field types with the bounds that keep objects small and admission rules cheap."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.config import JsonDict

from moorage_crds.names import MAX_CLASS_NAME, MAX_ROLE_NAME

MAX_REPLICAS = 10_000
MAX_ROLES = 8
MAX_ACCELERATORS = 8

Actuation = Literal["Off", "Recommend", "Auto"]

RoleName = Annotated[
    str, Field(min_length=1, max_length=MAX_ROLE_NAME, pattern=r"^[a-z][a-z0-9]*$")
]
ClassName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_CLASS_NAME,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
    ),
]
ObjectName = Annotated[str, Field(min_length=1, max_length=253)]
OptionalName = Annotated[str, Field(max_length=253)]
Uid = Annotated[str, Field(max_length=64)]
LabelKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=317,
        pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
    ),
]
LabelValue = Annotated[str, Field(max_length=63)]
ResourceName = Annotated[
    str,
    Field(
        min_length=3,
        max_length=317,
        pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
    ),
]
Decimal = Annotated[str, Field(max_length=20, pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
SignedDecimal = Annotated[str, Field(max_length=24, pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,9})?$")]
Message = Annotated[str, Field(max_length=4096)]
Reason = Annotated[str, Field(max_length=128)]
Timestamp = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
Replicas = Annotated[int, Field(ge=0, le=MAX_REPLICAS)]
Percent = Annotated[int, Field(ge=0, le=100)]
Weight = Annotated[int, Field(ge=0, le=100)]
Seconds = Annotated[int, Field(ge=0, le=604_800)]
Priority = Annotated[int, Field(ge=-2_147_483_648, le=2_147_483_647)]


def list_map(*keys: str) -> JsonDict:
    """Return the schema of a list whose items are told apart by these keys."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


LIST_SET: JsonDict = {"x-kubernetes-list-type": "set"}
"""Schema of a list without duplicates."""
