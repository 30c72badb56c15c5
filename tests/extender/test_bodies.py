"""Requests that no scheduler sends: a clean 4xx, a counter, and never a trace."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import json as msgspec_json

from moorage_extender.config import Settings
from moorage_extender.context import Context
from moorage_extender.verbs.bind import Bind
from moorage_extender.verbs.filter import Filter
from moorage_extender.verbs.preempt import Preempt
from moorage_extender.verbs.prioritize import Prioritize
from moorage_policies.errors import BadInputError

VERBS = ("filter", "prioritize", "preempt", "bind")
DATA = Path(__file__).with_name("data")
RECORDED = {verb: (DATA / f"cap-{verb}-1.request.json").read_bytes() for verb in VERBS}
DEEP = 100_000

GARBAGE = [
    pytest.param(b"", id="empty"),
    pytest.param(b"\xff\xfe", id="no-utf8"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="a-list"),
    pytest.param(b"{}", id="no-field"),
    pytest.param(b'{"Pod"', id="cut-off"),
    pytest.param(b'{"Pod":NaN,"Nodes":null,"NodeNames":["a"]}', id="not-a-number"),
    pytest.param(b"[" * DEEP + b"]" * DEEP, id="deep-lists"),
    pytest.param(b'{"Pod":' * DEEP + b"1" + b"}" * DEEP, id="deep-objects"),
    pytest.param(
        b'{"Pod":{"x":' + b"[" * DEEP + b"]" * DEEP + b'},"Nodes":null,"NodeNames":[],'
        b'"NodeNameToVictims":null,"NodeNameToMetaVictims":{}}',
        id="deep-inside-an-unknown-field-of-the-pod",
    ),
]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("body", GARBAGE)
async def test_garbage_is_rejected_and_counted(extender: Any, verb: str, body: bytes) -> None:
    status, answer = await extender.send(verb, body)
    assert status == 400
    assert set(json.loads(answer)) == {"error", "field"}
    assert b"Traceback" not in answer
    series = f'moorage_extender_rejected_requests_total{{status="400",verb="{verb}"}}'
    assert await extender.metric(series) == 1


@pytest.mark.parametrize("verb", VERBS)
async def test_every_way_to_cut_a_request_short_is_rejected(extender: Any, verb: str) -> None:
    whole = RECORDED[verb].rstrip()
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        status, _ = await extender.send(verb, whole[:length])
        assert status == 400, whole[:length][-40:]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"NodeNames": None}, "NodeNames", id="neither-names-nor-nodes"),
        pytest.param({"NodeNames": "a"}, "NodeNames", id="names-are-no-list"),
        pytest.param({"NodeNames": [1]}, "NodeNames", id="a-name-is-no-text"),
        pytest.param({"NodeNames": None, "Nodes": []}, "Nodes", id="nodes-are-no-object"),
        pytest.param(
            {"NodeNames": None, "Nodes": {"items": [{}]}}, "Nodes.items", id="a-node-without-name"
        ),
        pytest.param({"Pod": None}, "Pod", id="no-pod"),
        pytest.param({"Pod": {"metadata": []}}, "Pod", id="a-pod-that-is-none"),
    ],
)
async def test_the_field_at_fault_is_named(
    extender: Any, change: dict[str, Any], field: str
) -> None:
    request = {**json.loads(RECORDED["filter"]), **change}
    for verb in ("filter", "prioritize"):
        status, answer = await extender.send(verb, request)
        assert status == 400
        assert json.loads(answer)["field"] == field


async def test_a_quantity_that_nobody_can_read_is_named(extender: Any) -> None:
    request = json.loads(RECORDED["filter"])
    request["Pod"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "lots"
    status, answer = await extender.send("filter", request)
    assert status == 400
    assert b"lots" in answer


async def test_a_body_that_announces_too_much_is_not_read(start_extender: Any) -> None:
    extender = await start_extender(body_limit_mib=1)
    for verb in VERBS:
        status, answer = await extender.send(verb, b"x" * (1024 * 1024 + 1))
        assert status == 413
        assert b"body_limit_mib" in answer
    series = 'moorage_extender_rejected_requests_total{status="413",verb="bind"}'
    assert await extender.metric(series) == 1


async def test_a_body_that_grows_too_large_on_the_way_is_cut_off(start_extender: Any) -> None:
    extender = await start_extender(body_limit_mib=1)

    async def pieces() -> Any:
        for _ in range(40):
            yield b"x" * 65536

    try:
        async with extender.http.post(f"{extender.verbs_url}/filter", data=pieces()) as answer:
            assert answer.status == 413
    except aiohttp.ClientConnectionError:
        pass  # the server may close before the client has sent everything
    series = 'moorage_extender_rejected_requests_total{status="413",verb="filter"}'
    assert await extender.metric(series) == 1


async def test_a_body_at_the_limit_is_read(start_extender: Any) -> None:
    extender = await start_extender(body_limit_mib=1)
    whole = RECORDED["filter"]
    status, _ = await extender.send("filter", whole + b" " * (1024 * 1024 - len(whole)))
    assert status == 200


async def test_other_methods_and_paths_are_refused(extender: Any) -> None:
    async with extender.http.get(f"{extender.verbs_url}/filter") as answer:
        assert answer.status == 405
    status, _ = await extender.send("reboot", {})
    assert status == 404


def _decoders() -> dict[str, Any]:
    ctx = Context(Settings(), clock=lambda: 0.0, wall_clock=lambda: 0.0)

    async def binder(_: object) -> Any:
        raise AssertionError("nothing is decided here")

    return {v.name: v for v in (Filter(ctx), Prioritize(ctx), Preempt(ctx), Bind(ctx, binder))}


DECODERS = _decoders()

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1e3", "0.5", "100m", "1Ki", "-1", str(2**63), "9" * 400, "Exists", "Gt"])
)
KEYS = """
    Pod Nodes NodeNames NodeNameToVictims NodeNameToMetaVictims Pods UID metadata spec status name
    uid labels annotations containers resources requests limits nvidia.com/gpu cpu affinity items
    tolerations operator key effect nodeAffinity creationTimestamp ownerReferences
    topologySpreadConstraints maxSkew whenUnsatisfiable
"""
keys = st.sampled_from(KEYS.split())
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


def _decodes_or_refuses(verb: str, body: bytes) -> None:
    with contextlib.suppress(BadInputError):
        DECODERS[verb].decode(body)


@given(verb=st.sampled_from(VERBS), body=st.binary(max_size=200))
@example(verb="filter", body=b'{"Pod":{"metadata":{"creationTimestamp":"0001-01-01T00:00:00Z"}},'
         b'"Nodes":null,"NodeNames":[]}')  # fmt: skip
def test_any_bytes_decode_or_are_refused(verb: str, body: bytes) -> None:
    _decodes_or_refuses(verb, body)


@given(verb=st.sampled_from(VERBS), document=st.dictionaries(keys, documents, max_size=6))
@settings(max_examples=300)
def test_any_document_decodes_or_is_refused(verb: str, document: dict[str, Any]) -> None:
    _decodes_or_refuses(verb, json.dumps(document).encode("utf-8", "surrogatepass"))


def _spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(spot for key, child in inner for spot in _spots(child, (*path, key)))]


SPOTS = [(verb, spot) for verb in VERBS for spot in _spots(json.loads(RECORDED[verb])) if spot]


@given(place=st.sampled_from(SPOTS), value=documents)
@settings(max_examples=300)
def test_a_recorded_request_with_anything_anywhere_decodes_or_is_refused(
    place: tuple[str, tuple[Any, ...]], value: Any
) -> None:
    verb, spot = place
    request = json.loads(RECORDED[verb])
    inner = request
    for key in spot[:-1]:
        inner = inner[key]
    inner[spot[-1]] = value
    _decodes_or_refuses(verb, json.dumps(request).encode("utf-8", "surrogatepass"))


@given(
    names=st.lists(st.text(max_size=5), unique=True, max_size=6),
    data=st.data(),
)
def test_answers_are_what_go_would_read(names: list[str], data: st.DataObject) -> None:
    request = {"Pod": {}, "Nodes": None, "NodeNames": names}
    body = data.draw(st.sampled_from([msgspec_json.encode, _spaced]))(request)
    nodes = DECODERS["filter"].decode(body).nodes
    score = data.draw(st.sampled_from([st.integers(0, 10), st.just(0)]))
    scores = data.draw(st.lists(score, min_size=len(names), max_size=len(names)))
    if names and data.draw(st.booleans()):
        scores[data.draw(st.integers(0, len(names) - 1))] = 10
    refused = {name: "why" for name in names if data.draw(st.booleans())}
    answer = json.loads(nodes.encode_scores(np.array(scores, dtype=np.int64)))
    assert [(a["Host"], a["Score"]) for a in answer] == list(zip(names, scores, strict=True))
    kept = json.loads(nodes.encode_kept(refused))
    assert kept["NodeNames"] == [name for name in names if name not in refused]
    assert kept["FailedAndUnresolvableNodes"] == refused


def _spaced(request: object) -> bytes:
    return json.dumps(request, separators=(" , ", " : ")).encode("utf-8", "surrogatepass")
