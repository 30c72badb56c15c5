"""The peer of the hint parser: keywords and regular expressions, without any grammar.

It is what one writes in an afternoon: every keyword makes an intent, "avoid", "no" or "not"
anywhere before it in the sentence turns it, hedges count for the whole sentence.
"""

from __future__ import annotations

import re

from moorage_policies.hints import Intent, IntentClass, Op, Quantity, Sign, Weight

_MODELS = re.compile(
    r"\b(h100|h200|a100|a10g?|l40s|l4|t4|v100|b200|gb200|mi300x|hopper|ampere)s?\b"
)
_NODES = re.compile(r"\b(spot|on-demand|arm64|amd64|ssd|nvme|infiniband|nvlink|windows|linux)\b")
_ZONE = re.compile(r"\bzone ([a-z0-9-]+)|\b((?:us|eu|ap)-[a-z]+-\d[a-f])\b")
_REGION = re.compile(r"\b((?:us|eu|ap)-[a-z]+-\d)\b")
_NEAR = re.compile(r"\b(?:near|close to|low latency to) (?:the )?([\w-]+)")
_WITH = re.compile(r"\b(?:together with|next to|alongside|same node as) (?:the )?([\w-]+)")
_AWAY = re.compile(r"\b(?:away from|far from|apart from) (?:the )?([\w-]+)")
_SPREAD = re.compile(r"\bspread\b.*?\b(zone|rack|region|node)s?\b|\bspread\b")
_AMOUNT = re.compile(
    r"(at least|more than|at most|less than|under|below)? ?(\d+(?:\.\d+)?) ?"
    r"(gb|gib|tb|cores|gpus|%|gbps)\b(?:.{0,12}?\b(gpu memory|vram|memory|disk|cpu))?"
)
_NEGATION = re.compile(r"\b(?:avoid|no|not|never|don't|without)\b")
_LOW = re.compile(r"\b(?:if possible|ideally|maybe|nice to have|slightly|would be nice)\b")
_HIGH = re.compile(r"\b(?:must|never|always|strongly|required?|needs?|critical|only)\b")
_UNITS = {"gb": "GB", "gib": "GiB", "tb": "TB", "%": "percent", "gbps": "Gbps"}
_RESOURCES = {"cores": "cpu", "gpus": "gpu", "%": "any", "gbps": "bandwidth"}
_QUALITIES = (
    (IntentClass.BALANCE, re.compile(r"\bbalanced?\b")),
    (IntentClass.STABILITY, re.compile(r"\b(?:stable|reliable|flaky|unstable|uptime)\b")),
    (IntentClass.NOISE, re.compile(r"\b(?:noisy|quiet|contention|interference)\b")),
    (IntentClass.COST, re.compile(r"\b(?:cheap|cheapest|expensive|cost|money)\b")),
    (IntentClass.ENERGY, re.compile(r"\b(?:energy|power|green|carbon)\b")),
)


def keyword_intents(text: str) -> list[Intent]:
    """Return the intents that keywords suggest."""
    return [
        intent
        for sentence in re.split(r"[.;!?\n]", text.lower())
        for intent in (*_places(sentence), *_pods(sentence), *_amounts(sentence), *_rest(sentence))
    ]


def _weight(sentence: str) -> Weight:
    if _LOW.search(sentence):
        return Weight.LOW
    return Weight.HIGH if _HIGH.search(sentence) else Weight.MEDIUM


def _places(sentence: str) -> list[Intent]:
    found = [(IntentClass.ACCELERATOR, m, m[1]) for m in _MODELS.finditer(sentence)]
    found += [(IntentClass.NODE_LABEL, m, m[1]) for m in _NODES.finditer(sentence)]
    found += [(IntentClass.NODE_LABEL, m, f"zone={m[1] or m[2]}") for m in _ZONE.finditer(sentence)]
    found += [(IntentClass.NODE_LABEL, m, f"region={m[1]}") for m in _REGION.finditer(sentence)]
    weight = _weight(sentence)
    return [
        Intent(kind, _sign(sentence, match.start()), target, weight=weight)
        for kind, match, target in found
    ]


def _sign(sentence: str, at: int) -> Sign:
    return Sign.AVOID if _NEGATION.search(sentence[:at]) else Sign.PREFER


def _pods(sentence: str) -> list[Intent]:
    found = [(IntentClass.NETWORK, m) for m in _NEAR.finditer(sentence)]
    found += [(IntentClass.CO_LOCATION, m) for m in _WITH.finditer(sentence)]
    found += [(IntentClass.ANTI_AFFINITY, m) for m in _AWAY.finditer(sentence)]
    return [Intent(kind, target=m[1], weight=_weight(sentence)) for kind, m in found]


def _amounts(sentence: str) -> list[Intent]:
    intents = []
    for match in _AMOUNT.finditer(sentence):
        word, value, unit, thing = match.groups()
        resource = {"vram": "gpu-memory", "gpu memory": "gpu-memory"}.get(thing, thing)
        resource = resource or _RESOURCES.get(unit, "memory")
        op = Op.AT_MOST if word in {"at most", "less than", "under", "below"} else Op.AT_LEAST
        quantity = Quantity(resource, op, float(value), _UNITS.get(unit, unit))
        intents.append(Intent(IntentClass.QUANTITY, quantity=quantity, weight=_weight(sentence)))
    return intents


def _rest(sentence: str) -> list[Intent]:
    weight = _weight(sentence)
    intents = [Intent(kind, weight=weight) for kind, word in _QUALITIES if word.search(sentence)]
    if (spread := _SPREAD.search(sentence)) is not None:
        key = {None: "hostname", "node": "hostname"}.get(spread[1], spread[1])
        intents.append(Intent(IntentClass.SPREAD, topology_key=key, weight=weight))
    return intents
