"""Pod templates: passed through to the workloads, with the few fields that Moorage must see."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from moorage_crds.base import Rule, with_rules
from moorage_crds.fields import LabelValue, OptionalName, list_map


class PassThrough(BaseModel):
    """An object whose unknown fields are kept as they are."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="allow",
        use_attribute_docstrings=True,
    )


class ContainerTemplate(PassThrough):
    """A container (core/v1 Container)."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    """Name of the container; an accelerator's template overrides the container of that name."""


class PodTemplateMetadata(PassThrough):
    """Labels and annotations of the pods."""

    labels: Annotated[dict[str, LabelValue], Field(max_length=64)] = {}
    """Labels to set; the labels of moorage.dev are added."""
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=65_536)]], Field(max_length=64)
    ] = {}
    """Annotations to set."""


class PodTemplateSpec(PassThrough):
    """A pod's spec (core/v1 PodSpec)."""

    model_config = with_rules(
        Rule(
            "!has(self.nodeName)",
            "binds past every scheduler; remove it and use nodeSelector or affinity",
            ".nodeName",
        ),
        Rule(
            "!has(self.priorityClassName)",
            "would differ from the pool's; remove it and set spec.priorityClassName of the pool",
            ".priorityClassName",
        ),
        Rule(
            "!has(self.restartPolicy) || self.restartPolicy == 'Always'",
            "must be Always for a server; remove it",
            ".restartPolicy",
        ),
    )

    containers: (
        Annotated[
            tuple[ContainerTemplate, ...],
            Field(min_length=1, max_length=32, json_schema_extra=list_map("name")),
        ]
        | None
    ) = None
    """The pod's containers; the first one is given the GPUs unless a container asks for them."""
    scheduler_name: OptionalName | None = None
    """Scheduler of the pods; absent: moorage-scheduler."""
    node_name: OptionalName | None = None
    """Not to be set: it would bind past every scheduler."""
    priority_class_name: OptionalName | None = None
    """Not to be set: the pool's priorityClassName is used."""
    restart_policy: Annotated[str, Field(max_length=32)] | None = None
    """Always, which is also the default."""


class PodTemplate(PassThrough):
    """A pod template (core/v1 PodTemplateSpec)."""

    metadata: PodTemplateMetadata | None = None
    """Labels and annotations of the pods."""
    spec: PodTemplateSpec
    """Spec of the pods."""

    def manifest(self) -> dict[str, Any]:
        """Return the template as it was written."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
