"""Rules for qualities of nodes: balance, stability, quiet, cost, energy."""

from __future__ import annotations

from moorage_policies.hints.intent import Intent, IntentClass, Sign
from moorage_policies.hints.neighbours import domain_key
from moorage_policies.hints.patterns import Found, Rule, rule


def _balance(found: Found) -> list[Intent]:
    """Balancing pods over a domain is spreading; anything else is balancing resources."""
    tags = {token.tag for token in found.whole}
    key = domain_key(found["domain"])
    pods = bool(tags & {"REPLICA", "PODS"}) or (bool(found["domain"]) and key != "hostname")
    if pods and not tags & {"RES", "USED", "GPU"}:
        return [Intent(IntentClass.SPREAD, topology_key=key)]
    return [Intent(IntentClass.BALANCE)]


def _strand(_found: Found) -> list[Intent]:
    return [Intent(IntentClass.BALANCE)]


def _stable(found: Found) -> list[Intent]:
    good = any(token.tag in {"STABLE", "OLD"} for token in found.whole)
    return [Intent(IntentClass.STABILITY, Sign.AVOID if found.negative == good else Sign.PREFER)]


def _unstable(found: Found) -> list[Intent] | None:
    return [Intent(IntentClass.STABILITY)] if found.negative else None


def _noise(_found: Found) -> list[Intent]:
    return [Intent(IntentClass.NOISE)]


def _cost(_found: Found) -> list[Intent]:
    return [Intent(IntentClass.COST)]


def _price(found: Found) -> list[Intent] | None:
    return [Intent(IntentClass.COST)] if found["thing"][0].value == "price" else None


def _dear(found: Found) -> list[Intent] | None:
    return [Intent(IntentClass.COST)] if found.negative else None


def _energy(_found: Found) -> list[Intent]:
    return [Intent(IntentClass.ENERGY)]


_OVER = "(?:BETWEEN|ACROSS|GE|IN|OF|DET|OTHER|FOR|SPREAD)"
_OBJECT = (
    "(?:BETWEEN(?=DET*(?:RES|GPU))|DET|OTHER|RES|USED|GPU|AND|COMMA|REPLICA|PODS|FREE|OF|FILL|"
    "SPREAD)"
)

RULES: tuple[Rule, ...] = (
    rule(f"(?:{_OBJECT}*)BALANCE+{_OBJECT}*(?:{_OVER}+<domain:(?:DOMAIN|NODES)+>)?", _balance),
    rule("(?:LEAST|DET)*STRAND+(?:DET|RES|GPU|AND|USED)*", _strand),
    rule("(?:RES|GPU)+(?:IS|FILL)*STRAND+", _strand),
    rule("(?:MOST|DET|IN)*(?:STABLE|OLD)+(?!ACCEL|GPU|NAME(?!NODES))", _stable),
    rule("(?:MOST|DET|IN)*STABLE+(?=ACCEL|GPU)", _stable),
    rule("(?:MOST|DET|IN)*NEW+(?!ACCEL|GPU|NAME(?!NODES))", _stable),
    rule("(?:MOST|LEAST|DET|IN)*UNSTABLE+", _unstable),
    rule(
        "(?:AWAY|IN|MOST|LEAST|DET|OF|OTHER|RES|GPU)*(?:NOISE|QUIET)+(?:PODS|NODES|REPLICA)*(?:(?:FOR|OF|IN|WITH)(?:DET|RES|GPU|OTHER|PODS)+)?",
        _noise,
    ),
    rule("(?:LEAST|MOST|DET|IN)*(?:CHEAP|COST)+", _cost),
    rule("NODES+DET LOSS+", _unstable),
    rule("DET*<thing:RES>(?=$|COMMA|AND)", _price),
    rule("DEAR", _dear),
    rule("(?:LEAST|MOST|DET|IN|WITH)*ENERGY+(?:DOMAIN|USED|RES)*", _energy),
)
