"""Rules for amounts: of a resource, of age, of money, of power."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from moorage_policies.hints.canonical import turned
from moorage_policies.hints.intent import ANY, Intent, IntentClass, Measure, Op, Quantity, Sign
from moorage_policies.hints.patterns import Found, Rule, rule
from moorage_policies.hints.tokens import Token
from moorage_policies.hints.units import UNITS, fits

SAME_RESOURCE = "the same"
"""Resource of "at most 8" without a thing: whatever was measured before."""
_OPS = {"GE": Op.AT_LEAST, "ORMORE": Op.AT_LEAST, "NUMPLUS": Op.AT_LEAST, "UPFOR": Op.AT_LEAST}
_OPS |= {"LE": Op.AT_MOST, "ORLESS": Op.AT_MOST, "WITHIN": Op.AT_MOST, "EQ": Op.EQUAL}
_SPEEDY = {"fast", "faster", "fastest", "high speed", "rapid", "quick", "good", "great", "the best"}
_SPEEDY |= {"excellent", "wide", "fat"}
"""Words of much that say so of a network only."""
_DEFAULT_RESOURCES = {
    "cores": "cpu",
    "bytes": "memory",
    "bits_per_s": "bandwidth",
    "percent": ANY,
    "seconds": "age",
    "usd_per_h": "price",
    "watts": "power",
}
_HALF = 50.0
_USES = {"use", "uses", "using"}
_DISKS = {"ssd", "nvme", "hdd"}
_MOMENTS = {"ns", "us", "ms", "s"}
"""Units in which no node counts its age."""
_COUNTED_IN = {"cpu": "cores", "gpu": "gpus", "pods": "pods"}
_CLASSES = {
    "age": IntentClass.STABILITY,
    "price": IntentClass.COST,
    "power": IntentClass.ENERGY,
    "latency": IntentClass.NETWORK,
}


def _amount(found: Found) -> list[Intent] | None:
    thing = _resource(found["thing"])
    resource, unit = _measured(thing, unit_of(found))
    number = number_of(found["n"])
    if resource is None or unit is None or number is None:
        return None
    if {token.tag for token in found.whole} == {"NUM", "REPLICA"}:
        return []  # "we run two replicas": how many there are is no wish
    if not fits(resource, unit):
        return []
    quantity = Quantity(resource, op_of(found), number, unit, _measure(found, resource))
    return _intents(found, quantity)


def _between(found: Found) -> list[Intent] | None:
    thing = _resource(found["thing"])
    low, high = number_of(found["low"]), number_of(found["high"])
    resource, unit = _measured(thing, unit_of(found))
    if resource is None or unit is None or low is None or high is None:
        return None
    if not fits(resource, unit):
        return []
    measure = _measure(found, resource)
    ends = ((Op.AT_LEAST, low), (Op.AT_MOST, high))
    quantities = [Quantity(resource, op, value, unit, measure) for op, value in ends]
    return [intent for quantity in quantities for intent in _intents(found, quantity)]


def _superlative(found: Found) -> list[Intent] | None:
    resource = _resource((*found["thing"], *found["cores"]))
    word = found["most"][0]
    if resource is None or (resource != "bandwidth" and word.text in _SPEEDY):
        return None
    if word.tag in {"LE", "GE"} and not word.text.startswith(("max", "min")):
        return None
    op = Op.MOST if word.tag in {"MOST", "LE"} else Op.LEAST
    if resource in _CLASSES:
        return [Intent(_CLASSES[resource])]
    return _intents(found, Quantity(resource, op, measure=_measure(found, resource)))


def _several_gpus(found: Found) -> list[Intent] | None:
    """More than one GPU."""
    if found["count"][0].text != "more than one":
        return None
    return _intents(found, Quantity("gpu", Op.AT_LEAST, 1.0, "gpus"))


def _sized_gpus(found: Found) -> list[Intent] | None:
    """Two GPUs with 24 GB: so many devices, each so large."""
    count, size, unit = number_of(found["count"]), number_of(found["n"]), unit_of(found)
    counted = not any(token.value for token in found["count"])
    if count is None or not counted or size is None or unit not in UNITS:
        return None
    if not fits("gpu-memory", unit) or unit == "percent":
        return None
    devices = Quantity("gpu", Op.AT_LEAST, count, "gpus")
    return [
        *_intents(found, devices),
        *_intents(found, Quantity("gpu-memory", op_of(found), size, unit)),
    ]


def _sized_vendor(found: Found) -> list[Intent] | None:
    """An NVIDIA card with 24 GB."""
    size, unit = number_of(found["n"]), unit_of(found)
    if size is None or unit is None or not fits("gpu-memory", unit):
        return None
    sign = Sign.AVOID if found.negative else Sign.PREFER
    return [
        Intent(IntentClass.ACCELERATOR, sign, found["model"][0].value),
        *_intents(found, Quantity("gpu-memory", op_of(found), size, unit)),
    ]


def _full(found: Found) -> list[Intent] | None:
    """At most 80 % full, at least half empty."""
    number, unit = number_of(found["n"]), unit_of(found)
    if found["state"][0].text.startswith("half "):
        number, unit = _HALF, "percent"
    if number is None or unit != "percent":
        return None
    measure: Measure = "Free" if found["state"][0].tag == "IDLE" else "Used"
    resource = _resource(found["thing"]) or ANY
    return _intents(found, Quantity(resource, op_of(found), number, unit, measure))


def _sized_disk(found: Found) -> list[Intent] | None:
    """Two TB of NVMe: so much disk, and of that kind."""
    size, unit, kind = number_of(found["n"]), unit_of(found), found["kind"][0].value
    if kind not in _DISKS or size is None or unit is None or not fits("disk", unit):
        return None
    sign = Sign.AVOID if found.negative else Sign.PREFER
    return [
        *_intents(found, Quantity("disk", op_of(found), size, unit)),
        Intent(IntentClass.NODE_LABEL, sign, kind),
    ]


def _roomy(found: Found) -> list[Intent] | None:
    roomy = found["most"][0].text in {"roomy", "roomiest", "spacious"}
    return _intents(found, Quantity(ANY, Op.MOST)) if roomy else None


def _pressure(found: Found) -> list[Intent] | None:
    """Avoid memory pressure."""
    if not found.negative or found["used"][0].text != "pressure":
        return None
    return _intents(found, Quantity(_resource(found["thing"]) or ANY, Op.MOST, measure="Used"))


def _bare_bound(found: Found) -> list[Intent] | None:
    """At least 4 GPUs, at most 8: of whatever was measured before."""
    number = number_of(found["n"])
    if number is None or any(token.value for token in found["n"]):
        return None
    return _intents(found, Quantity(SAME_RESOURCE, op_of(found), number))


def _superlatives(found: Found) -> list[Intent] | None:
    """Lots of CPU and memory."""
    things: list[list[Token]] = [[]]
    for token in found["list"]:
        if token.tag in {"COMMA", "AND"}:
            things.append([])
        else:
            things[-1].append(token)
    resources = [_resource(thing) for thing in things if thing]
    op = Op.MOST if found["most"][0].tag == "MOST" else Op.LEAST
    return [
        intent
        for resource in resources
        if resource is not None and resource not in _CLASSES
        for intent in _intents(found, Quantity(resource, op, measure=_measure(found, resource)))
    ] or None


def _gpu_memory(found: Found) -> list[Intent] | None:
    """GPUs with lots of memory."""
    if _resource(found["thing"]) not in {"memory", "gpu-memory"}:
        return None
    op = Op.MOST if found["most"][0].tag == "MOST" else Op.LEAST
    return _intents(found, Quantity("gpu-memory", op))


def _free(found: Found) -> list[Intent] | None:
    """Spare CPU: the more, the better."""
    resource = _resource(found["thing"])
    known = resource is not None and resource not in _CLASSES
    return _intents(found, Quantity(resource or ANY, Op.MOST)) if known else None


def _usage(found: Found) -> list[Intent]:
    """Little load, low utilisation of whatever."""
    op = Op.MOST if found["most"][0].tag == "MOST" else Op.LEAST
    return _intents(found, Quantity(_resource(found["thing"]) or ANY, op, measure="Used"))


def _under_pressure(found: Found) -> list[Intent] | None:
    """Under memory pressure: much of it is used."""
    if found["most"][0].text != "under":
        return None
    return _intents(found, Quantity(_resource(found["thing"]) or ANY, Op.MOST, measure="Used"))


def _few_others(found: Found) -> list[Intent] | None:
    others = found["thing"][0].text in {"neighbours", "neighbors", "others", "co tenants"}
    return _intents(found, Quantity("pods", Op.LEAST, measure="Used")) if others else None


def _few_nodes(found: Found) -> list[Intent] | None:
    few = found["most"][0].text in {"as few", "few", "fewer", "fewest"}
    return _intents(found, Quantity(ANY, Op.LEAST)) if few else None


def _free_nodes(found: Found) -> list[Intent] | None:
    free = found["most"][0].text in {"free", "unused", "unoccupied", "unallocated", "vacant"}
    return _intents(found, Quantity(ANY, Op.MOST)) if free else None


def _best(found: Found) -> list[Intent] | None:
    bandwidth = found["most"][0].text == "best" and _resource(found["thing"]) == "bandwidth"
    return _intents(found, Quantity("bandwidth", Op.MOST)) if bandwidth else None


def _load(found: Found) -> list[Intent]:
    emptiest = found.whole[-1].tag == "IDLE" or any(t.tag == "IDLE" for t in found.whole)
    return _intents(found, Quantity(ANY, Op.MOST if emptiest else Op.LEAST))


def _age(found: Found) -> list[Intent] | None:
    unit = unit_of(found)
    if unit in _MOMENTS:
        return None
    number = number_of(found["n"]) if found["n"] else 1.0
    if unit is None or number is None or not fits("age", unit):
        return None
    return _intents(found, Quantity("age", op_of(found), number, unit))


def _intents(found: Found, quantity: Quantity) -> list[Intent]:
    inside = any(token.tag in {"NOT", "NEVER"} for token in found.whole)
    if found.negative != inside:
        quantity = turned(quantity)
    return [Intent(_CLASSES.get(quantity.resource, IntentClass.QUANTITY), quantity=quantity)]


def _resource(tokens: Sequence[Token]) -> str | None:
    """Return the resource that these words name; GPU and memory together are GPU memory."""
    tags = {token.tag for token in tokens}
    names = [token.value for token in tokens if token.tag == "RES"]
    if "GPU" in tags:
        return "gpu-memory" if "memory" in names or "gpu-memory" in names else "gpu"
    if "gpu-memory" in names:
        return "gpu-memory"
    if names:
        return names[0]
    if any(token.value == "cores" for token in tokens):
        return "cpu"
    return "pods" if tags & {"PODS", "REPLICA"} else None


def _measured(resource: str | None, unit: str | None) -> tuple[str | None, str | None]:
    """Return resource and unit, each completed by the other."""
    if unit is None:
        return resource, _COUNTED_IN.get(resource or "")
    dimension = UNITS[unit][0] if unit in UNITS else ""
    if unit in _MOMENTS:
        return None, unit
    if resource is None or (resource == ANY and dimension != "percent"):
        return _DEFAULT_RESOURCES.get(dimension), unit
    if resource == "gpu" and dimension == "bytes":
        return "gpu-memory", unit
    return resource, unit


def number_of(tokens: Iterable[Token]) -> float | None:
    """Return the number among these tokens; "one" counts."""
    for token in tokens:
        if token.number is not None:
            return token.number
        if token.tag == "ONE":
            return 1.0
    return None


def unit_of(found: Found) -> str | None:
    """Return the unit of a match, ``None`` when no word says one."""
    for group in ("n", "high", "low"):
        for token in found[group]:
            if token.number is not None and token.value:
                return token.value
    for token in found.whole:
        if token.tag == "UNIT":
            return token.value
        if token.tag == "MONEY":
            return "usd/h"
    return None


def op_of(found: Found) -> Op:
    """Return the comparison of a match; a bare number asks for at least that much."""
    for token in (*found["op"], *found["n"], *found["mid"], *found["after"], *found["post"]):
        if token.tag in _OPS:
            return _OPS[token.tag]
    cheap = any(token.tag == "MONEY" or token.value == "usd/h" for token in found.whole)
    return Op.AT_MOST if cheap else Op.AT_LEAST


def _measure(found: Found, resource: str) -> Measure:
    tags = {token.tag for token in found.whole}
    is_use = "USED" in tags or any(token.text in _USES for token in found.whole)
    used = resource == "pods" or (is_use and "FREE" not in tags)
    return "Used" if used and resource not in _CLASSES else "Free"


_OP = "<op:(?:GE|LE|EQ|ACROSS)*>"
_N = "<n:NUM|NUMPLUS><mid:(?:(?:ORMORE|ORLESS)(?=FREE?UNIT))?>(?:FREE)?(?:UNIT|MONEY)?"
_AFTER = "<after:(?:ORMORE|ORLESS)?>"
_POST = "<post:(?:ORMORE|ORLESS|(?:LE|GE)(?=$|COMMA|AND|LOW|HIGH|FILL))?>"
_GLUE = "(?:IDLE|IN|FILL|DET|FREE|OF|OTHER|LEAST|MOST|IS(?=DET*MOST))*"
_THING = "<thing:(?:RES|GPU)+(?:IN|OF|PER)?(?:DET)*(?:GPU|RES)?|PODS+|REPLICA>"
_STATE = "(?:FREE|USED|ORMORE|IDLE)*(?:(?:IS|PLACE|PREFER|FILL|HIGH|LOW)+(?:FREE|USED))?"
_LINK = "(?:NEVER|NOT|HIGH|LOW|USED|FREE|OF|DET|NODES|IN|IS|PLACE|PREFER|FILL|WITH|TO|THAN)*"
_BEFORE = "(?:WITH|IN|OF|RUNS|NODES|DET)*"

BOUNDED_QUALITIES: tuple[Rule, ...] = (
    rule(
        f"(?:OLD|UPFOR|NEW|COST|CHEAP|ENERGY)+{_LINK}BETWEEN<low:NUM>(?:UNIT|MONEY)?(?:AND|TO)"
        "<high:NUM>(?:UNIT|MONEY)?(?:AGO|OLD|NEW|PERHOUR)*",
        _between,
    ),
    rule(
        f"(?:OLD|UPFOR|NEW)+(?:OF|FOR|IS|FILL|DET)*{_OP}DET*<n:(?:NUM|NUMPLUS)?>UNIT{_AFTER}(?:AGO|OLD|NEW)*",
        _age,
    ),
    rule(
        f"<op:GE|LE|UPFOR|ACROSS>DET*<n:NUM?>UNIT{_AFTER}(?:AGO|OLD|NEW)*(?!RES|OF|FREE|GPU)", _age
    ),
    rule(
        f"(?:LEAST|MOST|DET|IN)*(?:COST|CHEAP|ENERGY)+{_LINK}{_OP}DET*{_N}(?:PERHOUR)?{_AFTER}",
        _amount,
    ),
)
"""Qualities with a number, tried before the qualities alone."""

RULES: tuple[Rule, ...] = (
    rule(
        f"(?:VENDOR|DET)*<model:VENDOR>GPU+(?:WITH|OF)+{_OP}DET*<n:NUM|NUMPLUS>UNIT?"
        "(?:OF DET*)?(?:RES)?",
        _sized_vendor,
    ),
    rule(
        f"{_OP}DET*<n:NUM|NUMPLUS>UNIT?<state:BUSY|IDLE>(?:(?:IN|OF|DET)*<thing:RES|GPU>)?", _full
    ),
    rule("<op:(?:GE|LE)+>DET*<state:BUSY|IDLE>(?!NODES)", _full),
    rule(
        f"(?:<thing:RES|GPU>(?:IS|PLACE)*)?<state:BUSY|IDLE>{_LINK}<op:(?:GE|LE|EQ)+>DET*<n:NUM|NUMPLUS>UNIT?",
        _full,
    ),
    rule(f"{_OP}DET*{_N}{_AFTER}(?:OF|FREE|DET)*<kind:FEATURE>RES*", _sized_disk),
    rule(f"NODES+(?:FILL|DET)*PREFER{_OP}DET*{_N}{_AFTER}(?:OF|DET)*(?:{_THING})?", _amount),
    rule("<thing:UNIT><op:(?:GE|LE|EQ)+>DET*<n:NUM|NUMPLUS>(?!UNIT)", _amount),
    rule(f"USED+{_LINK}<op:(?:GE|LE|EQ)+>DET*{_N}{_AFTER}", _amount),
    rule(
        f"(?:BETWEEN|OF)<low:NUM>UNIT?(?:AND|TO)<high:NUM>FREE*UNIT?{_GLUE}(?:{_THING})?{_STATE}",
        _between,
    ),
    rule(
        f"{_BEFORE}{_THING}{_LINK}BETWEEN<low:NUM>UNIT?(?:AND|TO)<high:NUM>UNIT?{_STATE}", _between
    ),
    rule(
        f"(?:GE|EQ)*<count:NUM>GPU+(?:WITH|OF|DET)+{_OP}DET*<n:NUM|NUMPLUS>UNIT?(?:OF DET*)?RES?"
        "(?:PER)?",
        _sized_gpus,
    ),
    rule("(?:GE|EQ)*<count:NUM><n:NUM>UNIT?GPU+", _sized_gpus),
    rule("<count:DIFFERENT>(?:FREE|OF)*GPU+FREE*", _several_gpus),
    rule(
        f"<most:MOST|LEAST>{_GLUE}<list:(?:RES|GPU)+FREE*"
        "(?:(?:COMMA|AND)+(?:DET|FREE)*(?:RES|GPU)+FREE*)+>(?:FREE|USED)*",
        _superlatives,
    ),
    rule(f"GE<low:NUM>UNIT?AND+LE<high:NUM>UNIT?{_GLUE}(?:{_THING})?{_STATE}", _between),
    rule(f"<low:NUM>UNIT?TO<high:NUM>(?:FREE)*UNIT?{_GLUE}(?:{_THING})?{_STATE}", _between),
    rule(f"{_OP}DET*{_N}(?:PERHOUR)?{_AFTER}{_GLUE}{_THING}{_STATE}{_POST}", _amount),
    rule(
        f"{_BEFORE}{_THING}{_LINK}{_OP}DET*{_N}(?:PERHOUR)?{_AFTER}(?:OF(?:DET|FREE)*RES)?{_STATE}{_POST}",
        _amount,
    ),
    rule(f"{_OP}DET*{_N}(?:PERHOUR)?{_AFTER}(?:AGO|OLD|FREE|USED|PERHOUR)*{_POST}", _amount),
    rule(
        f"<most:MOST|LEAST|LE|GE>(?:THAN|MOST|LEAST)*{_GLUE}(?:{_THING}|<cores:UNIT>)(?:FREE|USED)*",
        _superlative,
    ),
    rule(
        f"{_THING}(?:USED|FREE|IS|PLACE|PREFER|FILL|DET|THAN)+<most:MOST|LEAST>(?:DET)*",
        _superlative,
    ),
    rule(f"{_THING}<most:MOST|LEAST>(?=$|COMMA|AND)", _superlative),
    rule("(?:PACK|BUSY|IDLE)+(?:IN|TO|DET|OTHER|FILL|PLACE|BUSY|NODES|PACK)*", _load),
    rule(f"GPU+(?:WITH|RUNS|DET)+<most:MOST|LEAST>{_GLUE}<thing:RES>", _gpu_memory),
    rule(
        f"FREE+<thing:(?:RES|GPU)+>(?:FREE|RES)*(?!USED|{_LINK}(?:GE|LE|EQ|NUM|NUMPLUS|ACROSS|MOST|LEAST))",
        _free,
    ),
    rule("<most:MOST|LEAST>(?:DET|FREE|OF|OTHER)*<thing:RES?>USED+", _usage),
    rule(f"<most:LE><thing:RES?>USED+(?!{_LINK}(?:GE|LE|EQ|NUM|ACROSS))", _under_pressure),
    rule("<most:LEAST>(?:OF|DET)*NODES+", _few_nodes),
    rule("<most:FREE>NODES+", _free_nodes),
    rule("<most:MOST>NODES+", _roomy),
    rule("<thing:(?:RES|GPU)+><used:USED>", _pressure),
    rule("<most:PREFER>(?:DET)*<thing:RES>", _best),
    rule("<thing:RES|GPU><most:MOST>NODES+", _superlative),
    rule(f"{_OP}DET*<n:ONE>(?:FREE)*UNIT?{_GLUE}<thing:(?:RES|GPU)+>{_STATE}", _amount),
    rule("<most:LEAST>(?:DET)*<thing:OTHER>", _few_others),
    rule("<op:(?:GE|LE|EQ)+>DET*<n:NUM>(?=$|COMMA|AND|LOW|HIGH|FILL)", _bare_bound),
)
