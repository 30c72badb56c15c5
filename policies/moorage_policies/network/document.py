"""A model as a JSON document: plain lists, checked before they are used, known by their digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any

import numpy as np

from moorage_policies.errors import BadInputError
from moorage_policies.network import features
from moorage_policies.network.formula import LIMITS, Formula
from moorage_policies.network.model import INPUTS, VARIABLE, Known, Model, Profile
from moorage_policies.network.trees import MAX_TREES, REMEDY, Tree, check_tree
from moorage_policies.types import FloatArray

FORMAT = "moorage-network/1"
MAX_BYTES = 16 * 1024 * 1024
MAX_COMPARISONS_X_TREES = 8_000_000
"""Bounds the look-up tables that trees become: 8 bytes each."""
MAX_WORKLOADS = 256
MAX_NODES = 128
MAX_TEXT = 300

Fields = Mapping[str, Any]


def write(model: Model) -> str:
    """Return the document; the same model always gives the same text."""
    known = model.known
    document = {
        "format": FORMAT,
        "family": model.family,
        "costs": _named(features.COSTS, model.cost_weights),
        "formula": None if model.formula is None else asdict(model.formula),
        "slopes": _named(INPUTS, model.slopes),
        "trees": [_tree(tree) for tree in model.trees],
        "known": {
            "centre": dict(zip(VARIABLE, _nullable(known.centre), strict=True)),
            "whiten": known.whiten.tolist(),
            "strangest": known.strangest,
            "varied": [name for name, yes in zip(VARIABLE, known.varied, strict=True) if yes],
            "asymmetry": known.asymmetry,
            "agreement": _nullable(np.array([known.agreement]))[0],
            "names": list(known.names),
            "usualLogRtt": [_nullable(row) for row in known.usual_log_rtt],
            "likeness": _nullable(np.array([known.likeness]))[0],
        },
        "workloads": {
            name: {
                "receiveMib": profile.receive_mib,
                "sendMib": profile.send_mib,
                "computeS": profile.compute_s,
                "rounds": profile.rounds,
            }
            for name, profile in model.workloads.items()
        },
        "distrust": model.distrust,
        "evidence": dict(model.evidence),
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False) + "\n"


def digest(text: str | bytes) -> str:
    """Return the SHA-256 of a document as ``sha256:`` and hexadecimal digits."""
    data = text.encode() if isinstance(text, str) else text
    return f"sha256:{sha256(data).hexdigest()}"


def read(data: bytes, *, expected_digest: str = "") -> Model:
    """Return the model of a document.

    Args:
        data: the document.
        expected_digest: as ``digest`` gives it; it is compared before anything is parsed. Empty
            takes any document that is valid.

    Raises:
        BadInputError: the digest is another one, the document is too large, or not a valid model.
    """
    if len(data) > MAX_BYTES:
        message = f"{len(data)} bytes; a model has at most {MAX_BYTES}"
        raise BadInputError(message, field="model")
    if expected_digest and digest(data) != expected_digest:
        message = f"digest is {digest(data)}, not {expected_digest}; pin the one you trust"
        raise BadInputError(message, field="model")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise BadInputError(f"no JSON document; {REMEDY}", field="model") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BadInputError(f"format must be {FORMAT!r}; {REMEDY}", field="model.format")
    return _model(document)


def _model(document: Fields) -> Model:
    listed = _get(document, "trees", list)
    if len(listed) > MAX_TREES:
        raise BadInputError(f"{len(listed)} trees; at most {MAX_TREES}", field="model.trees")
    trees = tuple(
        check_tree(_fields(tree, f"trees[{number}]"), f"model.trees[{number}]", len(INPUTS))
        for number, tree in enumerate(listed)
    )
    comparisons = sum(len(tree.feature) // 2 for tree in trees)
    if comparisons * len(trees) > MAX_COMPARISONS_X_TREES:
        raise BadInputError("too many or too large trees; train fewer", field="model.trees")
    weights = _by_name(document, "costs", features.COSTS)
    if (weights < 0).any():
        raise BadInputError(f"a cost below 0; {REMEDY}", field="model.costs")
    return Model(
        _text(document, "family"),
        weights,
        _by_name(document, "slopes", INPUTS),
        trees,
        _known(_get(document, "known", dict)),
        _workloads(_get(document, "workloads", dict)),
        _text(document, "distrust"),
        {
            name: _number(value, "evidence")
            for name, value in _get(document, "evidence", dict).items()
        },
        _formula(document.get("formula")),
    )


def _formula(given: object) -> Formula | None:
    """Return the constants, which must all be there and within what they mean."""
    if given is None:
        return None
    fields = _fields(given, "formula")
    flags = {name: fields.get(name) for name in ("reads_mbps", "reads_cpu")}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise BadInputError(f"reads_... must be true or false; {REMEDY}", field="model.formula")
    constants = {name: _number(fields.get(name), f"formula.{name}") for name in LIMITS}
    unknown = sorted(set(fields) - set(constants) - set(flags))
    if unknown:
        message = f"no constant {unknown[0][:MAX_TEXT]!r} in this release; {REMEDY}"
        raise BadInputError(message, field="model.formula")
    for name, value in constants.items():
        if not LIMITS[name][0] <= value <= LIMITS[name][1]:
            message = f"{value} is outside {LIMITS[name][0]:g} to {LIMITS[name][1]:g}; {REMEDY}"
            raise BadInputError(message, field=f"model.formula.{name}")
    mbps, cpu = (bool(flag) for flag in flags.values())
    return Formula(**constants, reads_mbps=mbps, reads_cpu=cpu)


def _known(document: Fields) -> Known:
    centre = _by_name(document, "centre", VARIABLE, nullable=True, where="known")
    varied = set(_get(document, "varied", list, "known"))
    names = tuple(map(str, _get(document, "names", list, "known")))
    if len(names) > MAX_NODES:
        raise BadInputError(f"more than {MAX_NODES} names; {REMEDY}", field="model.known.names")
    return Known(
        centre,
        _matrix(document, "whiten", len(VARIABLE)),
        _number(document.get("strangest"), "known.strangest"),
        np.array([name in varied for name in VARIABLE]),
        _number(document.get("asymmetry"), "known.asymmetry"),
        _number(document.get("agreement"), "known.agreement", nullable=True),
        names,
        _matrix(document, "usualLogRtt", len(names), nullable=True),
        _number(document.get("likeness"), "known.likeness", nullable=True),
    )


def _workloads(document: Fields) -> dict[str, Profile]:
    if len(document) > MAX_WORKLOADS:
        raise BadInputError(f"more than {MAX_WORKLOADS}; {REMEDY}", field="model.workloads")
    profiles = {}
    for name, given in document.items():
        where = f"workloads.{name[:MAX_TEXT]}"
        fields = _fields(given, where)
        amounts = [
            _number(fields.get(key), f"{where}.{key}")
            for key in ("receiveMib", "sendMib", "computeS", "rounds")
        ]
        if min(amounts) < 0:
            raise BadInputError(f"an amount below 0; {REMEDY}", field=f"model.{where}")
        profiles[name] = Profile(*amounts)
    return profiles


def _named(names: tuple[str, ...], values: FloatArray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True) if value != 0}


def _nullable(values: FloatArray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _tree(tree: Tree) -> dict[str, list[float]]:
    return {
        "feature": tree.feature.tolist(),
        "threshold": tree.threshold.tolist(),
        "left": tree.left.tolist(),
        "right": tree.right.tolist(),
        "value": tree.value.tolist(),
    }


def _get(document: Fields, name: str, kind: type, where: str = "") -> Any:  # noqa: ANN401 - JSON
    value = document.get(name)
    if not isinstance(value, kind):
        field = ".".join(part for part in ("model", where, name) if part)
        raise BadInputError(f"must be a JSON {kind.__name__}; {REMEDY}", field=field)
    return value


def _fields(value: object, where: str) -> Fields:
    if not isinstance(value, dict):
        raise BadInputError(f"must be an object; {REMEDY}", field=f"model.{where}")
    return value


def _text(document: Fields, name: str) -> str:
    text: str = _get(document, name, str)
    if len(text) > MAX_TEXT:
        raise BadInputError(f"longer than {MAX_TEXT} characters", field=f"model.{name}")
    return text


def _number(value: object, where: str, *, nullable: bool = False) -> float:
    if nullable and value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:  # noqa: PLR2004
        raise BadInputError(f"must be a finite number; {REMEDY}", field=f"model.{where}")
    return float(value)


def _by_name(
    document: Fields, name: str, known: tuple[str, ...], *, nullable: bool = False, where: str = ""
) -> FloatArray:
    given = _get(document, name, dict, where)
    unknown = sorted(set(given) - set(known))
    path = f"{where}.{name}" if where else name
    if unknown:
        message = f"no input {unknown[0][:MAX_TEXT]!r} in this release; {REMEDY}"
        raise BadInputError(message, field=f"model.{path}")
    missing = None if nullable else 0.0
    return np.array([_number(given.get(n, missing), path, nullable=nullable) for n in known])


def _matrix(document: Fields, name: str, size: int, *, nullable: bool = False) -> FloatArray:
    rows = _get(document, name, list, "known")
    if len(rows) != size or any(not isinstance(r, list) or len(r) != size for r in rows):
        raise BadInputError(
            f"must be {size} x {size} numbers; {REMEDY}", field=f"model.known.{name}"
        )
    cells = [[_number(cell, f"known.{name}", nullable=nullable) for cell in row] for row in rows]
    return np.array(cells, dtype=np.float64).reshape(size, size)
