"""What kube-scheduler and the extender say to each other, byte by byte.

Keys are Go field names. A request is decoded in two steps: its keys at once, with each value left
as the bytes that came, then only those values that the verb needs. So a list of nodes that passes
as a whole goes back exactly as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import add
from typing import Any, TypeVar

import numpy as np
from msgspec import UNSET, DecodeError, MsgspecError, Raw, Struct, UnsetType, field, json, structs

from moorage_crds.convert import to_pod
from moorage_crds.objects import PodObject
from moorage_policies.errors import BadInputError
from moorage_policies.types import IntArray, Pod

T = TypeVar("T")
S = TypeVar("S", bound=Struct)
Part = Raw | UnsetType

NULL = b"null"


class ExtenderArgs(Struct, gc=False):
    """Request of filter and prioritize: a pod and either names or whole nodes."""

    pod: Part = field(default=UNSET, name="Pod")
    nodes: Part = field(default=UNSET, name="Nodes")
    node_names: Part = field(default=UNSET, name="NodeNames")


class ExtenderPreemptionArgs(Struct, gc=False):
    """Request of preempt: a pod and candidates with victims, whole pods or UIDs."""

    pod: Part = field(default=UNSET, name="Pod")
    victims: Part = field(default=UNSET, name="NodeNameToVictims")
    meta_victims: Part = field(default=UNSET, name="NodeNameToMetaVictims")


class ExtenderBindingArgs(Struct, gc=False, forbid_unknown_fields=False):
    """Request of bind."""

    pod_name: str | UnsetType = field(default=UNSET, name="PodName")
    pod_namespace: str | UnsetType = field(default=UNSET, name="PodNamespace")
    pod_uid: str | UnsetType = field(default=UNSET, name="PodUID")
    node: str | UnsetType = field(default=UNSET, name="Node")


class MetaPod(Struct, gc=False):
    """A victim by UID."""

    uid: str = field(name="UID")


class MetaVictims(Struct, gc=False):
    """Victims of one node by UID."""

    pods: list[MetaPod] | None = field(default=None, name="Pods")
    violations: int = field(default=0, name="NumPDBViolations")


class _Identity(Struct, gc=False):
    uid: str = ""
    name: str = ""


class _Object(Struct, gc=False):
    """A pod or node of which only the identity is read."""

    metadata: _Identity


class _Victims(Struct, gc=False):
    pods: list[_Object] | None = field(default=None, name="Pods")


class _NodeList(Struct, gc=False):
    items: list[Raw] | None = None


_pod = json.Decoder(PodObject)
_names = json.Decoder(list[str])
_node_list = json.Decoder(_NodeList)
_object = json.Decoder(_Object)
_victims = json.Decoder(dict[str, _Victims])
_meta_victims = json.Decoder(dict[str, MetaVictims])
_any_object = json.Decoder(dict[str, Raw])


def decode_request(body: bytes, kind: type[S]) -> S:
    """Return the request with every field set, its keys in any case, as Go accepts them.

    Raises:
        BadInputError: no JSON object, or a field is missing.
    """
    decode: Callable[[Any], S] = _decoder(kind).decode
    request = _read(body, decode, "")
    if not _missing(request):
        return request
    folded = {key.lower(): value for key, value in _read(body, _any_object.decode, "").items()}
    names = {name: folded[name.lower()] for name in _wire_names(kind) if name.lower() in folded}
    request = _read(json.encode(names), decode, "")
    if missing := _missing(request):
        raise BadInputError("is missing; send every field of the request", field=missing)
    return request


def present(raw: Part, name: str) -> Raw:
    """Return a value that must be there.

    Raises:
        BadInputError: it is null.
    """
    if raw is UNSET or is_null(raw):
        raise BadInputError("is null", field=name)
    return raw


def decode_pod(raw: Raw) -> Pod:
    """Return the pod of a request as decisions see it."""
    return to_pod(_read(raw, _pod.decode, "Pod"))


def decode_names(raw: Raw) -> list[str]:
    """Return the node names of a request."""
    return _read(raw, _names.decode, "NodeNames")


def decode_nodes(raw: Raw) -> tuple[list[str], list[Raw]]:
    """Return names and bytes of the whole nodes of a request."""
    items = _read(raw, _node_list.decode, "Nodes").items or []
    return [_read(item, _object.decode, "Nodes.items").metadata.name for item in items], items


def decode_victims(args: ExtenderPreemptionArgs) -> dict[str, tuple[str, ...]]:
    """Return the victims' UIDs by node, whichever form they came in.

    Raises:
        BadInputError: neither form is there, or a victim has no UID.
    """
    found: dict[str, tuple[str, ...]]
    if not is_null(args.meta_victims):
        meta = _read(args.meta_victims, _meta_victims.decode, "NodeNameToMetaVictims")
        found = {node: tuple(pod.uid for pod in v.pods or ()) for node, v in meta.items()}
    elif not is_null(args.victims):
        full = _read(args.victims, _victims.decode, "NodeNameToVictims")
        found = {node: tuple(p.metadata.uid for p in v.pods or ()) for node, v in full.items()}
    else:
        raise BadInputError("is null, as is NodeNameToVictims", field="NodeNameToMetaVictims")
    for node, uids in found.items():
        if not all(uids):
            raise BadInputError(f"a victim on {node} has no UID", field="NodeNameToMetaVictims")
    return found


def is_null(raw: Part) -> bool:
    """Return whether a value is JSON's null."""
    return raw is UNSET or bytes(raw) == NULL


def encode_filter_names(kept: Raw | Sequence[str], refused: Mapping[str, str]) -> bytes:
    """Return filter's answer by names: those kept, and why each other one is out for good."""
    names = bytes(kept) if isinstance(kept, Raw) else json.encode(kept)
    return b'{"Nodes":null,"NodeNames":%b,%b' % (names, _refusals(refused))


def encode_filter_nodes(kept: Raw | Iterable[Raw], refused: Mapping[str, str]) -> bytes:
    """Return filter's answer by whole nodes, as they came."""
    nodes = (
        bytes(kept)
        if isinstance(kept, Raw)
        else b'{"metadata":{},"items":[%b]}' % b",".join(bytes(node) for node in kept)
    )
    return b'{"Nodes":%b,"NodeNames":null,%b' % (nodes, _refusals(refused))


def _refusals(refused: Mapping[str, str]) -> bytes:
    # not FailedNodes: with it the scheduler asks for victims on these nodes, and fails without any
    return b'"FailedNodes":{},"FailedAndUnresolvableNodes":%b,"Error":""}' % json.encode(refused)


_SUFFIXES = tuple(b'","Score":%d' % score for score in range(11))
_BETWEEN_NAMES, _BETWEEN_SCORES = b'","', b'},{"Host":"'


def encode_scores(names: Sequence[str], raw: bytes, scores: IntArray) -> bytes:
    """Return prioritize's answer: one score of 0 to 10 per node, in the order given.

    The answer is cut from the bytes of the request, so that no name is encoded.

    Args:
        names: the nodes.
        raw: their names as a JSON list; used when it is compact, as kube-scheduler writes it.
        scores: 0 to 10 per node.
    """
    if not names:
        return b"[]"
    if not _is_plain(raw, len(names)):
        raw = json.encode(names)
    scored = np.flatnonzero(scores)
    if len(scored) > 1:
        ends = map(_SUFFIXES.__getitem__, scores.tolist())
        pieces = map(add, raw[2:-2].split(_BETWEEN_NAMES), ends)
        return b'[{"Host":"%b}]' % _BETWEEN_SCORES.join(pieces)
    answer = raw[2:-2].replace(_BETWEEN_NAMES, _SUFFIXES[0] + _BETWEEN_SCORES)
    answer = b'[{"Host":"%b%b}]' % (answer, _SUFFIXES[0])
    if len(scored):
        host = b'{"Host":%b,"Score":' % json.encode(names[scored[0]])
        answer = answer.replace(host + b"0", host + b"%d" % scores[scored[0]])
    return answer


def _is_plain(raw: bytes, count: int) -> bool:
    """Return whether a JSON list of names has neither blanks nor escapes."""
    framed = raw.startswith(b'["') and raw.endswith(b'"]')
    return framed and raw.count(_BETWEEN_NAMES) == count - 1 and b"\\" not in raw


def encode_victims(victims: Mapping[str, tuple[Sequence[str], int]]) -> bytes:
    """Return preempt's answer, always by UID; an empty one vetoes preemption.

    Args:
        victims: UIDs by falling priority and budget violations, by node.
    """
    answer = {
        node: MetaVictims([MetaPod(uid) for uid in uids], violations)
        for node, (uids, violations) in victims.items()
    }
    return json.encode({"NodeNameToMetaVictims": answer})


def encode_error(message: str) -> bytes:
    """Return bind's answer: an empty message says that the pod is bound."""
    return json.encode({"Error": message})


def _read(raw: Part | bytes, decode: Callable[[Any], T], name: str) -> T:
    """Return the decoded value; whatever is wrong with it becomes one sentence."""
    try:
        return decode(raw)
    except RecursionError:
        raise BadInputError("is nested too deeply; send a plain object", field=name) from None
    except (MsgspecError, UnicodeDecodeError) as error:
        advice = "send JSON" if type(error) is DecodeError else "send what the API server serves"
        raise BadInputError(f"cannot be read ({error}); {advice}", field=name) from None


def _wire_names(kind: type[Struct]) -> tuple[str, ...]:
    return kind.__struct_encode_fields__


def _missing(request: Struct) -> str:
    values = structs.astuple(request)
    return _wire_names(type(request))[values.index(UNSET)] if UNSET in values else ""


@cache
def _decoder(kind: type[S]) -> json.Decoder[S]:
    return json.Decoder(kind)
