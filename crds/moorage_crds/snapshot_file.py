"""The planner's facts as JSON with a version: what a solver is sent, and what people keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from moorage_policies.errors import BadInputError
from moorage_policies.planning.facts import Facts, PlanningParams
from moorage_policies.plans.records import PlanRecord
from moorage_policies.types import DisruptionBudget, Node, Pod

VERSION = 1
CHUNK = 25


class Head(msgspec.Struct, rename="camel"):
    """All but the long lists."""

    at_s: float
    generation: int
    params: PlanningParams
    budgets: tuple[DisruptionBudget, ...] = ()
    plans: tuple[PlanRecord, ...] = ()
    migrations: Mapping[str, str] = {}
    wanted: tuple[str, ...] | None = None


class _Version(msgspec.Struct):
    version: int = 0


class _File(Head, rename="camel"):
    nodes: tuple[Node, ...] = ()
    pods: tuple[Pod, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannerSnapshot:
    """What the planner saw and how it was told to plan."""

    facts: Facts
    params: PlanningParams = field(default_factory=PlanningParams)


def encode_in_steps(snapshot: PlannerSnapshot) -> Iterator[bytes]:
    """Yield the snapshot's JSON piece by piece, so that an event loop can breathe in between.

    Images of nodes are left out: no plan looks at them.
    """
    facts = snapshot.facts
    head = Head(
        at_s=facts.at_s,
        generation=facts.generation,
        params=snapshot.params,
        budgets=facts.budgets,
        plans=facts.plans,
        migrations=facts.migrations,
        wanted=facts.wanted,
    )
    yield f'{{"version":{VERSION},'.encode() + msgspec.json.encode(head)[1:-1]
    yield from _list("nodes", (replace(node, images={}) for node in facts.nodes))
    yield from _list("pods", facts.pods)
    yield b"}"


def encode(snapshot: PlannerSnapshot) -> bytes:
    """Return the snapshot as JSON."""
    return b"".join(encode_in_steps(snapshot))


def decode(text: bytes) -> PlannerSnapshot:
    """Return the snapshot that a file holds.

    Raises:
        BadInputError: it holds something else, or one of another version.
    """
    try:
        version = msgspec.json.decode(text, type=_Version).version
        if version != VERSION:
            raise BadInputError(
                f"is {version}, and only {VERSION} is read; write the snapshot with this version",
                field="version",
            )
        file = msgspec.json.decode(text, type=_File)
    except msgspec.MsgspecError as error:
        raise BadInputError(f"this is no planner snapshot: {error}") from error
    facts = Facts(
        at_s=file.at_s,
        generation=file.generation,
        nodes=file.nodes,
        pods=file.pods,
        budgets=file.budgets,
        plans=file.plans,
        migrations=file.migrations,
        wanted=file.wanted,
    )
    return PlannerSnapshot(facts, file.params)


def _list(name: str, items: Iterable[object]) -> Iterator[bytes]:
    yield f',"{name}":['.encode()
    first, chunk = True, []
    for item in items:
        chunk.append(item)
        if len(chunk) == CHUNK:
            yield _joined(chunk, first)
            first, chunk = False, []
    yield (_joined(chunk, first) if chunk else b"") + b"]"


def _joined(chunk: list[object], first: bool) -> bytes:  # noqa: FBT001 - whether a comma is due
    return (b"" if first else b",") + msgspec.json.encode(chunk)[1:-1]
