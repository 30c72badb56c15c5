"""Rules for other pods: sharing, keeping away, spreading, nearness."""

from __future__ import annotations

from collections.abc import Sequence

from moorage_policies.hints.amounts import number_of, op_of, unit_of
from moorage_policies.hints.intent import (
    ANY,
    HOSTNAME,
    SELF,
    Intent,
    IntentClass,
    Op,
    Quantity,
)
from moorage_policies.hints.names import END, TARGET, TARGETS, targets_of
from moorage_policies.hints.patterns import Found, Rule, rule
from moorage_policies.hints.places import places_of
from moorage_policies.hints.tokens import Token
from moorage_policies.hints.units import fits

SAME_AS_BEFORE = "the same"
"""Target of "the same node" without "as": whatever was named before."""
_ALONE_MEANS_SPREAD = ("spread", "scatter", "dispers", "distribut", "fan", "stagger", "high", "ha")
"""Beginnings of words of spreading that need no object."""


def domain_key(tokens: Sequence[Token]) -> str:
    """Return the topology key that these words name first; ``hostname`` without any."""
    return domain_keys(tokens)[0]


def domain_keys(tokens: Sequence[Token]) -> list[str]:
    """Return each topology key that these words name, ``hostname`` without any."""
    keys = [
        token.value if token.tag == "DOMAIN" else token.text
        for token in tokens
        if token.tag == "DOMAIN" or (token.tag == "NAME" and "/" in token.text)
    ]
    hosts = any(token.tag in {"NODES", "SERVER"} for token in tokens)
    listed = hosts and keys and any(token.tag == "AND" for token in tokens)
    return list(dict.fromkeys([*keys, HOSTNAME] if listed else keys)) or [HOSTNAME]


def _together(found: Found, targets: Sequence[str], key: str = HOSTNAME) -> list[Intent]:
    if not found.negative:
        return share(targets, key)
    return apart(targets, key)


def share(targets: Sequence[str], key: str = HOSTNAME) -> list[Intent]:
    """Return the wish to share a domain."""
    return [Intent(IntentClass.CO_LOCATION, target=t, topology_key=key) for t in targets]


def apart(targets: Sequence[str], key: str = HOSTNAME) -> list[Intent]:
    """Return the wish not to share a domain; own replicas apart are spread."""
    return [
        Intent(IntentClass.SPREAD, topology_key=key)
        if target == SELF
        else Intent(IntentClass.ANTI_AFFINITY, target=target, topology_key=key)
        for target in targets
    ]


def _near(targets: Sequence[str]) -> list[Intent]:
    return [Intent(IntentClass.NETWORK, target=target) for target in targets]


def _spread(found: Found) -> list[Intent]:
    return _together_or_spread(found, spread=not found.negative)


def _all_domains(found: Found) -> list[Intent] | None:
    return _one_each(found) if found.whole[0].text == "all" else None


def _in_one(found: Found) -> list[Intent]:
    """Return gathering in "one zone", or with what was named before in "the same zone"."""
    if any(token.text.endswith("same") for token in found.whole):
        return _same_as_before(found)
    return _self_together(found)


def _same_as_that(found: Found) -> list[Intent] | None:
    return _same_as_before(found) if found["that"][0].text in {"them", "it"} else None


def _named_together(found: Found) -> list[Intent] | None:
    """The prefill and decode pods in the same rack."""
    targets = targets_of(found["targets"])
    if len(targets) == 1 or {SELF, ANY} & set(targets):
        return None
    return _together(found, targets, domain_key(found["domain"]))


def _named_apart(found: Found) -> list[Intent] | None:
    """Prefill and decode on different racks."""
    targets = _named(found)
    return apart(targets, domain_key(found["domain"])) if targets else None


def _named_sharing(found: Found) -> list[Intent] | None:
    """The gateway and this should share a zone."""
    targets, key = _named(found), domain_key(found["domain"])
    if not targets:
        return None
    if found["no"] or found.negative:
        return apart(targets, key)
    return share(targets, key)


def _named(found: Found) -> list[str]:
    said = [token for token in found["targets"] if token.tag != "FILL"]
    return [target for target in targets_of(said) if target not in {SELF, ANY}]


def _elsewhere(found: Found) -> list[Intent] | None:
    """On a different node: than whatever was named before."""
    if not found["other"][0].text.startswith(("a ", "another")):
        return None
    kind = IntentClass.CO_LOCATION if found.negative else IntentClass.ANTI_AFFINITY
    return [Intent(kind, target=SAME_AS_BEFORE)]


def _not_sharing(found: Found) -> list[Intent] | None:
    return apart([ANY]) if found.negative else None


def _near_if_bandwidth(found: Found) -> list[Intent] | None:
    network = any(token.value == "bandwidth" for token in found.whole)
    return _near_pods(found) if network else None


def _one_each(found: Found) -> list[Intent]:
    return [Intent(IntentClass.SPREAD, topology_key=domain_key(found["domain"]))]


def _not_several(found: Found) -> list[Intent] | None:
    """No rack may hold two replicas."""
    return _one_each(found) if found.negative and found["domain"][0].tag != "NAME" else None


def _self_together(found: Found) -> list[Intent]:
    inside = any(token.tag in {"NOT", "NEVER"} for token in found.whole)
    return _together_or_spread(found, spread=found.negative != inside)


def _together_or_spread(found: Found, *, spread: bool) -> list[Intent]:
    keys = domain_keys(found["domain"])
    if spread:
        return [Intent(IntentClass.SPREAD, topology_key=key) for key in keys]
    return [intent for key in keys for intent in share([SELF], key)]


def _spread_alone(found: Found) -> list[Intent] | None:
    named = any(token.tag in {"REPLICA", "PODS"} for token in found.whole)
    plain = found.whole[0].text.startswith(_ALONE_MEANS_SPREAD)
    return _spread(found) if named or plain else None


def _even_load(_found: Found) -> list[Intent]:
    return [Intent(IntentClass.BALANCE)]


def _join(found: Found) -> list[Intent]:
    targets = targets_of(found["targets"])
    return [intent for key in _keys(found) for intent in _together(found, targets, key)]


def _keys(found: Found) -> list[str]:
    return domain_keys(found["domain"] or found["level"])


def _away(found: Found) -> list[Intent]:
    targets = targets_of(found["targets"])
    if found.negative:
        return _near(targets)
    return [intent for key in _keys(found) for intent in apart(targets, key)]


def _apart_from(found: Found) -> list[Intent]:
    targets = targets_of(found["targets"])
    wish = share if found.negative else apart
    return [intent for key in _keys(found) for intent in wish(targets, key)]


def _kept_off(found: Found) -> list[Intent] | None:
    """Batch jobs should not be on our node."""
    targets = _named(found)
    return apart(targets, domain_key(found["domain"])) if targets else None


def _never_on(found: Found) -> list[Intent]:
    """Nodes that do not run something: the negation is part of the words."""
    return apart(targets_of(found["targets"]))


def _noisy(found: Found) -> list[Intent]:
    return [Intent(IntentClass.NOISE), *_apart_from(found)]


def _host(found: Found) -> list[Intent] | None:
    """Nodes where pods run, but not "nodes where CPU is free"."""
    if all(token.tag in {"RES", "GPU", "AND", "DET", "COMMA"} for token in found["targets"]):
        return None
    return _join(found)


def _same_as_before(found: Found) -> list[Intent]:
    return _together(found, [SAME_AS_BEFORE], domain_key(found["domain"]))


def _unwanted(found: Found) -> list[Intent] | None:
    """Bare pods mean something only after a negation, bare names after one that takes a noun."""
    named = any(token.tag in {"PODS", "REPLICA", "SELECTOR", "OTHER"} for token in found.whole)
    takes_noun = found.negator not in {"not", "never", "must not", "never ever"}
    targets = targets_of(found["targets"])
    if found.cancelled and named:
        return share(targets)
    if not found.negative or not (named or takes_noun):
        return None
    said = [token.text for token in found["targets"] if token.tag != "DET"]
    return None if said in _NO_PODS else apart(targets)  # "never put us on …", "without cpu"


def _with(found: Found) -> list[Intent] | None:
    targets = targets_of(found["targets"])
    key = domain_key(found["domain"])
    named = any(token.text.endswith(_SIBLINGS) for token in found["targets"])
    vague = {ANY} if named else {ANY, SELF}
    return None if vague & set(targets) else _together(found, targets, key)


def _alone(found: Found) -> list[Intent] | None:
    return None if found.negative else apart([ANY], domain_key(found["domain"]))


def _near_pods(found: Found) -> list[Intent]:
    targets = targets_of(found["targets"])
    return apart(targets) if found.negative else _near(targets)


def _within_place(found: Found) -> list[Intent] | None:
    """Latency to zone b below 3 ms."""
    places = places_of(found["domain"][0], found["ids"])
    number, unit = number_of(found["n"]), unit_of(found)
    if not places or number is None or unit is None or not fits("latency", unit):
        return None
    quantity = Quantity("latency", op_of(found), number, unit)
    return [Intent(IntentClass.NETWORK, target=place, quantity=quantity) for place in places]


def _near_places(found: Found) -> list[Intent] | None:
    if found.negative:
        return None
    if found["known"]:
        return _near([f"{token.tag.lower()}={token.value}" for token in found["known"]])
    return _near(places_of(found["domain"][0], found["ids"])) or None


def _low_latency(found: Found) -> list[Intent] | None:
    return None if found.negative else _near([ANY])


def _within(found: Found) -> list[Intent] | None:
    number, unit = number_of(found["n"]), unit_of(found)
    if number is None or unit is None or not fits("latency", unit):
        return None
    op = Op.AT_MOST if not found["op"] else op_of(found)
    quantity = Quantity("latency", op, number, unit)
    places = [f"{token.tag.lower()}={token.value}" for token in found["known"]]
    targets = targets_of(found["targets"]) or places or [ANY]
    return [Intent(IntentClass.NETWORK, target=target, quantity=quantity) for target in targets]


_NO_PODS = (["us"], ["cpu"], ["memory"], ["ram"])
_SIBLINGS = ("peers", "siblings", "replicas", "twins", "copies")
_BOTH = f"{TARGET}(?:(?:COMMA|AND)+(?:{TARGET}|DET|FILL)){{1,3}}"
"""Two things or more, "this" among them, as the subject of a sentence."""
_FURTHER = (
    "(?:(?:COMMA|AND)+(?:ACROSS|IN|DET|SAME|DIFFERENT|OTHER|PER|ONE)*(?:DOMAIN|NODES(?!NAME))"
    "(?!THAN|OF|WITH|RUNS))"
)
"""One more domain of a list ("over zones and racks")."""
_DOMAIN = f"<domain:(?:DOMAIN|NODES|POOL)+{_FURTHER}*>"
_DOMAIN_OF = (
    "<domain:(?:DOMAIN|NODES|POOL)+"
    "(?:(?:COMMA|AND)+(?:IN|DET|SAME|DIFFERENT|OTHER)*(?:DOMAIN|NODES(?!NAME)))*>"
)
"""The domains of "same zone and rack as redis"."""
_LEVEL = (
    "(?:IN|PER|ACROSS)+DET*(?:<level:DOMAIN|NODES>)(?!NAME|NUM|ZONE|REGION|DET|NAMED|NODES|RUNS)"
)
"""The domain of "away from redis on rack level"."""
_ANY_DOMAIN = "<domain:DOMAIN|NODES|NAME>"
_OVER = "(?:ACROSS|BETWEEN|GE|IN|PER|TO|OF|DET|OTHER|DIFFERENT|MOST|NUM|SAME|THAN|AND)"
_OWN = "(?:DET|OTHER|NUM|MOST|PER|ONE|OF|FREE|GE)*(?:REPLICA|PODS)+(?:OF(?:DET|REPLICA|PODS)+)?"
_DOING = (
    "(?:OTHER|NOT|NEVER|PLACE|FILL|SHARE|IN|HIGH|PREFER|DET|IS|TO|PACK|TOGETHER|LOW|OF|COLOC|THAN|"
    "LE)*"
)
_SAME = "(?:SAME|ONE|SHARE)(?:DET|FILL|SAME)*"
_NUMBER = "<n:NUM>UNIT?"

RULES: tuple[Rule, ...] = (
    rule(
        "(?:AWAY|PART(?:FILL|DET|PODS|REPLICA)*OF)(?:DET|OTHER)*<noise:NOISE>"
        "<targets:NAME{1,3}(?:PODS|REPLICA|SERVER)*>",
        _noisy,
        carries=False,
    ),
    rule(f"PART(?:FILL|DET|PODS|REPLICA)*OF<targets:{TARGETS}>", _apart_from, carries=False),
    # spreading and gathering the own replicas
    rule(f"IN+<other:DIFFERENT|OTHER>NODES{END}", _elsewhere),
    rule("OTHER(?:FREE|DET)*<domain:DOMAIN>(?!NAME|FILL*(?:FINE|IGNOREBEFORE))", _all_domains),
    rule(f"(?:IN)*(?:DIFFERENT|PART)+{_DOMAIN}OF{_OWN}(?!NAME)", _spread),
    rule(
        "<domain:DOMAIN>(?:PREFER|IS|PLACE|HIGH|LOW|FILL)*DIFFERENT(?:FOR|OF|PER|DET)*REPLICA?",
        _spread,
    ),
    rule(f"(?:REPLICA|PODS)(?:IN|PLACE)*PER(?:DIFFERENT|DET)*{_DOMAIN}", _one_each),
    rule(f"<domain:DOMAIN|NODES>PER{END}", _one_each),
    rule(f"<domain:DOMAIN|NODES>FILL*PART{END}", _spread),
    rule("REPLICA PART", _spread),
    rule("SPREAD(?:DET|OTHER|DIFFERENT|MOST)*<domain:DOMAIN>SPREAD*", _spread),
    rule(f"OTHER(?:IN|PLACE|WITHIN)+{_SAME}{_DOMAIN}(?!THAN|OF|WITH)", _self_together),
    rule(f"{_SAME}{_DOMAIN}OF+OTHER", _self_together),
    rule(f"(?:PACK|COLOC)+{_OWN}{_DOING}TOGETHER", _self_together),
    rule(
        f"(?:LE|MOST)+NUM(?:REPLICA|OF|DET)*REPLICA(?:PER|IN)+(?:DET|SAME|ONE)*{_DOMAIN}", _spread
    ),
    rule(f"ONEPER(?:DET|OTHER|DIFFERENT)*{_DOMAIN}", _spread),
    rule(
        f"PER(?:REPLICA|PODS|ONE)(?:PLACE|IN|TO|FILL)*(?:DET|DIFFERENT|OTHER)*(?:ALONE|{_DOMAIN}ALONE?)",
        _spread,
    ),
    rule(
        f"SPREAD(?:DET|OTHER)*(?:RES|GPU|USED)+(?:SPREAD|BALANCE|{_OVER}*(?:DOMAIN|NODES))*",
        _even_load,
    ),
    rule(
        f"SPREAD(?:DET|OTHER|REPLICA|PODS|PLACE|SPREAD|FILL|APART|SURVIVE)*COMMA?{_OVER}+{_DOMAIN}"
        "(?:LOSS)*",
        _spread,
    ),
    rule(f"SPREAD(?:{TARGET})?SPREAD*{_OVER}+{_ANY_DOMAIN}", _spread),
    rule(f"SPREAD{_OVER}*<domain:NAME>", _spread),
    rule("SPREAD(?:DET|OTHER|REPLICA|PODS|SPREAD|APART|FILL)*", _spread_alone),
    rule("<domain:DOMAIN>FILL*(?:SPREAD|LOSS)+", _spread),
    rule("MOST(?:DET|DIFFERENT|OTHER)*<domain:DOMAIN>(?:FILL|SPREAD)*", _spread),
    rule(f"(?:RES|USED|GPU)+(?:FILL|PLACE|IS)*SPREAD(?:{_OVER}+(?:DOMAIN|NODES)+)?", _even_load),
    rule("PART(?:DET|OTHER)*REPLICA(?!OF)", _spread),
    rule("ACROSS(?:DET|OTHER|DIFFERENT|MOST|NUM)*<domain:DOMAIN>", _spread),
    rule(
        f"(?:ONE|NUM)(?:REPLICA|PODS)*(?:IN|PLACE|ACROSS)*PER(?:DIFFERENT|DET)*{_DOMAIN}", _one_each
    ),
    rule(
        f"{_ANY_DOMAIN}(?:PREFER|HIGH|PLACE|RUNS|SHARE|FREE|FILL|WITH)*NAME{{0,1}}(?:MOST|NUM|GE|DIFFERENT)+"
        "(?:ONE|OF|DET)*REPLICA",
        _not_several,
    ),
    rule(f"PART(?:DET|OTHER|BETWEEN|OF|ACROSS|TO|WITH)*REPLICA{_OVER}+{_DOMAIN}", _spread),
    rule(
        "(?:<domain:DOMAIN|NODES>FILL*)?PART(?:DET|OTHER|BETWEEN|OF|ACROSS|TO|WITH)*REPLICA(?!OF)",
        _spread,
    ),
    rule(
        "<domain:DOMAIN|NODES>LOSS+(?:(?:NEVER|NOT)(?:NAME|PLACE|FILL|DET)*(?:DET|OTHER|NUM)*REPLICA?LOSS*)?",
        _spread,
    ),
    rule(f"SURVIVE(?:DET|OTHER|LOSS|OF|ONE|SAME)*{_DOMAIN}(?:LOSS)*", _spread),
    rule(
        f"LOSS(?:DET|OTHER|OF|ONE|SAME)*{_DOMAIN}(?:LOSS|NEVER|NOT|FILL|REPLICA|PLACE|OTHER)*",
        _spread,
    ),
    rule(f"(?:PACK|COLOC)*{_OWN}{_DOING}{_SAME}{_DOMAIN}", _self_together),
    rule(f"{_OWN}{_DOING}(?:DIFFERENT|OTHER|PART)+{_DOMAIN}(?!THAN|OF|WITH|AWAY|TO)", _spread),
    rule(f"{_SAME}{_DOMAIN}(?:FOR|OF|IN|PLACE)*{_OWN}", _self_together),
    rule(
        f"(?:IN)*(?:DIFFERENT|PART)+{_DOMAIN}(?!THAN|OF|WITH|AWAY|TO)(?:(?:FOR|OF)+{_OWN})?",
        _spread,
    ),
    rule(f"{_OWN}{_DOING}(?:APART|AWAY(?:DET|OTHER)*REPLICA)(?:{_OVER}+{_DOMAIN})?", _spread),
    rule(f"TOGETHER{_OWN}IN+{_SAME}{_DOMAIN}", _self_together),
    rule(f"COLOC{_OWN}", _self_together),
    # sharing
    rule(
        f"<targets:{TARGETS}>(?:PLACE|FILL|IS|PREFER|HIGH|LOW)*IN+{_SAME}{_DOMAIN}(?!THAN|OF|WITH)",
        _named_together,
    ),
    rule(
        f"<targets:{_BOTH}>(?:PLACE|FILL|IS|PREFER|HIGH|LOW)*IN+(?:DIFFERENT|PART|OTHER)+{_DOMAIN}"
        "(?!THAN|OF|WITH)",
        _named_apart,
    ),
    rule(
        f"<targets:{_BOTH}>(?:FILL|PREFER|HIGH|LOW)*<no:(?:NOT|NEVER)*>(?:PLACE|FILL)*SHARE(?:DET|SAME|ONE)*"
        f"{_DOMAIN}(?:WITH(?:REPLICA|DET|FILL)+)?(?!WITH)",
        _named_sharing,
    ),
    rule(
        f"<targets:{TARGET}>(?:FILL|PREFER|HIGH|LOW)*<no:(?:NOT|NEVER)*>(?:PLACE|FILL)*"
        f"(?:SHARE|IN+SAME)(?:DET|SAME|ONE)*{_DOMAIN}(?:WITH|OF|THAN)(?:REPLICA|DET|FILL)+",
        _named_sharing,
    ),
    rule(f"<targets:{_BOTH}>(?:PLACE|FILL)*APART", _named_apart),
    rule(
        f"<targets:{TARGET}>(?:PREFER|HIGH|LOW|FILL)*(?:NOT|NEVER)+(?:PLACE|FILL|IS)*"
        f"(?:IN|WITHREL|WITH|NEAR|SHARE)+(?:SAME|DET|ONE)*(?:REPLICA|<domain:NODES|DOMAIN>){END}",
        _kept_off,
    ),
    rule(f"(?:IN)*SAME{_DOMAIN}(?:THAN|OF|WITH)<that:FILL>{END}", _same_as_that),
    rule(f"(?:IN|DET)*<domain:DOMAIN>(?:OF|WITH)<targets:{TARGETS}>", _join, carries=False),
    rule(
        f"(?:IN)*(?:DIFFERENT|PART|OTHER)+{_DOMAIN_OF}(?:THAN|OF|WITH|AWAY|TO)+<targets:{TARGETS}>",
        _apart_from,
    ),
    rule(
        f"(?:IN)*{_SAME}{_DOMAIN_OF}(?:THAN|OF|WITH|AND|IN|TO|RUNS|PLACE|FILL)+(?:IN|DET)*"
        f"<targets:{TARGETS}>",
        _join,
        carries=False,
    ),
    rule(
        f"SHARE(?:DET|OTHER)*{_DOMAIN}(?:WITH|OF|TO|AND)*<targets:{TARGETS}>", _join, carries=False
    ),
    rule(
        f"(?:COLOC|SHARE)+(?:DET|FILL|REPLICA|PODS|NODES)*(?:WITH|TO|IN|OF)+<targets:{TARGETS}>"
        f"(?:IN*{_SAME}{_DOMAIN}|{_LEVEL})?",
        _join,
        carries=False,
    ),
    rule(
        f"(?:WITHREL|COLOC|SHARE)+(?:WITH|FOR|TO|IN)*<targets:{TARGETS}>(?:IN*{_SAME}{_DOMAIN}|{_LEVEL})?",
        _join,
        carries=False,
    ),
    rule(f"{_OWN}{_DOING}TOGETHER(?:IN*(?:SAME|ONE|DET)*{_DOMAIN})?", _self_together),
    rule(f"<targets:{TARGETS}>(?:PLACE|FILL)*TOGETHER(?:IN*(?:SAME|ONE|DET)*{_DOMAIN})?", _join),
    rule(
        f"TOGETHER(?:IN)+(?:SAME|ONE|DET)*{_DOMAIN}(?:WITH|TO)+<targets:{TARGETS}>",
        _join,
        carries=False,
    ),
    rule(
        f"TOGETHER(?:IN*(?:SAME|ONE|DET)*{_DOMAIN})?(?!(?:FILL|DET)*(?:WITH|NAME|PODS|TO))",
        _self_together,
    ),
    rule(
        f"NODES+(?:DET|FILL|WITH|RUNS)*NOT(?:RUNS|WITH|PLACE|OTHER|DET)*<targets:{TARGETS}>",
        _never_on,
    ),
    rule("(?:NODES)+(?:FILL)*RUNS+(?:DET)*<targets:NAME{1,3}>POOL", _host),
    rule(f"(?:IN|DET)*<domain:DOMAIN|NODES>RUNS+<targets:{TARGETS}>PLACE?", _host),
    rule(f"NODES+(?:RUNS|WITH|PLACE|NOT)+<targets:{TARGETS}>", _host),
    rule(f"RUNS+<targets:{TARGETS}>", _host),
    rule(f"(?:COLOC|PACK)+(?:FILL|DET)*IN+{_SAME}{_DOMAIN}(?!OF|THAN)", _self_together),
    # nearness
    rule(f"LATENCY BETWEEN(?:REPLICA|FILL|DET)AND<targets:{TARGETS}>", _near_pods),
    rule(
        f"LATENCY(?:IS|FILL|PLACE|PREFER|OF|HIGH|LOW|DET)*<op:LE|WITHIN>{_NUMBER}"
        f"(?:TO|OF|NEAR)<targets:{TARGETS}>",
        _within,
    ),
    rule("NEAR<targets:(?:DET|OTHER)*(?:RES|NAME|GPU){1,4}NODES+>", _near_pods, carries=False),
    rule(
        f"(?:WITHIN|LE){_NUMBER}(?:LATENCY|FILL)?(?:OF|TO|NEAR|AWAY|IN)+<targets:{TARGETS}>",
        _within,
    ),
    rule(f"<op:LE?>{_NUMBER}(?:NEAR|LATENCY TO|LATENCY OF)<targets:{TARGETS}>", _within),
    rule(
        f"(?:NEAR|LATENCY(?:TO|OF|WITH|BETWEEN)?)<targets:{TARGETS}>(?:IS|FILL|PLACE|PREFER|OF|HIGH|LOW|DET)*"
        f"<op:LE|WITHIN>{_NUMBER}",
        _within,
    ),
    rule(
        "(?:NEAR|LATENCY(?:TO|OF|WITH)+)(?:DET)*<domain:DOMAIN|NODES><ids:(?:NAME|NUM|DET)>"
        f"(?:IS|FILL|PLACE|PREFER|OF|HIGH|LOW)*<op:LE|WITHIN>{_NUMBER}",
        _within_place,
    ),
    rule(f"LATENCY(?:IS|FILL|PLACE|PREFER|OF|HIGH|LOW|DET)*<op:LE|WITHIN>{_NUMBER}", _within),
    rule(
        f"(?:WITHIN|LE){_NUMBER}(?:LATENCY|FILL)?(?:OF|TO|NEAR|AWAY|IN)+<known:ZONE|REGION>",
        _within,
    ),
    rule(f"<targets:{TARGET}>(?:IS|PLACE|PREFER|HIGH|LOW)*WITHIN{_NUMBER}{END}", _within),
    rule(f"{_NUMBER}<op:ORLESS>(?:TO|OF|NEAR|AWAY|LATENCY)+<targets:{TARGETS}>", _within),
    rule(f"<op:LE>{_NUMBER}LATENCY", _within),
    rule("NEAR(?:TO|OF)*(?:DET)*<targets:NAME{1,3}>POOL", _near_pods, carries=False),
    rule("NEAR(?:TO|IN|OF|DET|DOMAIN)*<known:ZONE|REGION>", _near_places, carries=False),
    rule(
        "NEAR(?:TO|IN|OF|DET)*<domain:DOMAIN|NODES><ids:(?:NAME|NUM|DET)>",
        _near_places,
        carries=False,
    ),
    rule(
        f"NEAR(?:NEAR|TO|OF|IN|FILL|(?:DET|OTHER)*NODES|RUNS)*<targets:{TARGETS}>",
        _near_pods,
        carries=False,
    ),
    rule(f"LATENCY(?:TO|OF|WITH|BETWEEN)+<targets:{TARGETS}>", _near_pods, carries=False),
    rule(f"<targets:{TARGETS}>(?:PLACE|FILL|IS|PREFER|HIGH|LOW)*NEAR{END}", _near_pods),
    rule(f"LATENCY(?:ACROSS|BETWEEN)<targets:{TARGETS}>", _near_pods),
    rule(f"LATENCY(?:NAME|RES|FILL|USED){{1,2}}TO<targets:{TARGETS}>", _near_pods),
    rule(f"MOST RES(?:NAME|FILL)?TO<targets:{TARGETS}>", _near_if_bandwidth),
    rule("(?:LEAST|MOST)?LATENCY", _low_latency),
    # keeping away
    rule(f"<targets:{TARGETS}>(?:PLACE|FILL)*AWAY(?:FILL|REPLICA|DET*NODES){END}", _away),
    rule(f"AWAY<targets:{TARGETS}>(?:IN*{_SAME}{_DOMAIN}|{_LEVEL})?", _away, carries=False),
    rule(f"<targets:{TARGETS}>(?:PLACE|FILL)*APART", _away, carries=False),
    rule("(?:DET)*ALONE(?:IN|DET|ALONE|TO)*<domain:(?:NODES|DOMAIN)*>", _alone),
)

_AFTER_NO = (
    "(?<=NOT|AVOID|NEVER|AND|COMMA|DET|OTHER|PLACE|PREFER|FILL|OF|IN|WITH|TO|RUNS|SHARE|NOISE)"
)

LAST_RULES: tuple[Rule, ...] = (
    rule(f"(?:WITHIN|IN|PLACE)+{_SAME}{_DOMAIN}(?!THAN|OF|WITH)", _in_one),
    rule(f"WITHIN DET<domain:DOMAIN>{END}", _self_together),
    rule(f"SAME<domain:DOMAIN>{END}", _in_one),
    rule(f"SHARE(?:DET|OTHER|OF)*NODES*(?:WITH OTHER+PODS*)?{END}", _not_sharing),
    rule(f"WITH+<targets:{TARGETS}>(?:IN*{_SAME}{_DOMAIN})?", _with, carries=False),
    rule(
        f"{_AFTER_NO}(?<!NODES DET)<targets:{TARGETS}>(?!GPU)"
        "(?:(?:IN|WITHREL|NEAR|PLACE|FILL|WITH)*(?:SAME|DET|ONE)*(?:NODES|REPLICA))?",
        _unwanted,
    ),
)
"""Bare names, tried when nothing else fits."""
