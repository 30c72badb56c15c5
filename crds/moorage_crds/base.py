"""What all models of our resources share: naming, admission rules, reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

from moorage_policies.errors import BadInputError


class Rule(NamedTuple):
    """One CEL rule of a schema and what the user hears when it does not hold.

    ``field`` is the path of the offending field below the object that carries the rule
    (``.ratio.min``); the API server puts it in front of ``message``, which names the remedy.
    """

    rule: str
    message: str
    field: str = ""

    def to_schema(self) -> dict[str, str]:
        """Return the entry of ``x-kubernetes-validations``."""
        entry = {"rule": self.rule, "message": self.message}
        if self.field:
            entry["fieldPath"] = self.field
        return entry


def with_rules(*rules: Rule) -> ConfigDict:
    """Return the model configuration that carries admission rules into the schema."""
    extra: JsonDict = {"x-kubernetes-validations": [dict(rule.to_schema()) for rule in rules]}
    return ConfigDict(json_schema_extra=extra)


class Model(BaseModel):
    """A part of a resource: camelCase outside, immutable, unknown fields ignored.

    Unknown fields are ignored because objects outlive the version that wrote them; the API server
    is what refuses a misspelt field.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """Return the object that a manifest describes.

        Raises:
            BadInputError: the manifest does not have the shape; names the first bad field.
        """
        try:
            return cls.model_validate(body)
        except ValidationError as failure:
            first = failure.errors(include_url=False, include_context=False)[0]
            path = ".".join(str(part) for part in first["loc"])
            raise BadInputError(f"{first['msg']}; see `kubectl explain`", field=path) from failure

    def manifest(self) -> dict[str, Any]:
        """Return the JSON form with every field that was set, by its outside name."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


class Metadata(Model):
    """Standard object metadata."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
