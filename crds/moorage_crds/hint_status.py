"""What a pool's hint was understood as: the written form of ``moorage_policies.hints``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from moorage_crds.base import Model
from moorage_crds.fields import Reason

MAX_INTENTS = 16
MAX_NOT_UNDERSTOOD = 32
MAX_PHRASE_CHARS = 2000

Word = Annotated[str, Field(max_length=128)]
IntentClass = Literal[
    "Accelerator",
    "NodeLabel",
    "CoLocation",
    "AntiAffinity",
    "Spread",
    "Quantity",
    "Balance",
    "Network",
    "Stability",
    "Noise",
    "Cost",
    "Energy",
]


class HintQuantity(Model):
    """An amount that a hint asks for."""

    resource: Word
    """Resource: cpu, memory, gpu, gpu-memory, disk, bandwidth, pods, any, latency, age, price or
    power."""
    op: Literal[">=", "<=", "=", "max", "min"]
    """Comparison; max and min have no value."""
    value: Annotated[float | None, Field(ge=0)] = None
    """Number as written."""
    unit: Word = ""
    """Unit as written."""
    measure: Literal["Free", "Used"] = "Free"
    """Whether the free or the used part is meant."""


class HintIntent(Model):
    """One wish."""

    class_: Annotated[IntentClass, Field(alias="class")]
    """What kind of wish it is."""
    sign: Literal["Prefer", "Avoid"] = "Prefer"
    """Whether more of it is wished for, or less."""
    target: Word = ""
    """What is preferred, avoided, joined or approached."""
    quantity: HintQuantity | None = None
    """The amount."""
    topology_key: Word = "hostname"
    """Domain of co-location, anti-affinity and spread."""
    weight: Literal["Low", "Medium", "High"] = "Medium"
    """How much it counts against the other intents of the hint."""


class HintStatus(Model):
    """What a hint was understood as."""

    of: Annotated[str, Field(max_length=64)]
    """Digest of the text that was read."""
    parser: Literal["Local", "LanguageModel", "Hand"]
    """Who read it; Hand: the intents were written in the pool's annotation
    moorage.dev/hint-intents."""
    version: Annotated[int, Field(ge=1)]
    """Version of the intents' schema."""
    intents: Annotated[tuple[HintIntent, ...], Field(max_length=MAX_INTENTS)] = ()
    """The wishes, in the order of the text."""
    not_understood: Annotated[
        tuple[Annotated[str, Field(max_length=MAX_PHRASE_CHARS)], ...],
        Field(max_length=MAX_NOT_UNDERSTOOD),
    ] = ()
    """Phrases that change nothing."""
    refusal: Reason = ""
    """Why nothing was read at all, as one word; empty when the text was read."""
