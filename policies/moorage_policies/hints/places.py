"""Rules for nodes as such: GPU models, kinds of node, labels, named places."""

from __future__ import annotations

from collections.abc import Sequence

from moorage_policies.hints.canonical import name_words
from moorage_policies.hints.intent import MAX_WORD_CHARS, Intent, IntentClass, Sign
from moorage_policies.hints.patterns import Found, Rule, rule
from moorage_policies.hints.tokens import Token

_BEFORE = "(?:IN|WITH|AWAY|OF|FOR|TO|RUNS)*(?:DET|OTHER)*"
_NO_IDS = {
    "against",
    "twice",
    "cross",
    "multi",
    "inter",
    "each",
    "alike",
    "aware",
    "wide",
    "diverse",
}
_POD_KEYS = {"app", "k8s-app", "app.kubernetes.io/name", "app.kubernetes.io/component", "job"}
_POD_KEYS |= {"app.kubernetes.io/instance", "app.kubernetes.io/part-of", "component", "service"}
"""Label keys that pods carry and nodes do not."""
_CARD = "(?:GPU|NODES|FILL|POOL)*"


def _sign(found: Found) -> Sign:
    away = any(token.tag == "AWAY" for token in found.whole)
    return Sign.AVOID if found.negative != away else Sign.PREFER


def _labels(found: Found, targets: Sequence[str]) -> list[Intent] | None:
    return [Intent(IntentClass.NODE_LABEL, _sign(found), target) for target in targets] or None


def _accelerator(found: Found) -> list[Intent]:
    model = found["model"][0].value
    form = "".join(f"-{token.text.split()[0]}" for token in found["form"])
    form = "-pcie" if form.startswith("-pci") else form
    return [Intent(IntentClass.ACCELERATOR, _sign(found), f"{model}{form}{_size(found['size'])}")]


def _made_by(found: Found) -> list[Intent] | None:
    """Intel Gaudi: the maker is no kind of node here."""
    return _accelerator(found) if found["maker"][0].text == "intel" else None


def _form_alone(found: Found) -> list[Intent]:
    return [Intent(IntentClass.ACCELERATOR, _sign(found), found["form"][0].text.split()[0])]


def _size(tokens: Sequence[Token]) -> str:
    units = {token.value for token in tokens}
    number = tokens[0].number if tokens else None
    return f"-{number:g}gb" if number is not None and units & {"GB", "GiB"} else ""


def _feature(found: Found) -> list[Intent] | None:
    return _labels(found, [token.value for token in found["kind"] if token.tag == "FEATURE"])


def _without_gpu(found: Found) -> list[Intent]:
    sign = Sign.PREFER if _sign(found) is Sign.AVOID else Sign.AVOID
    return [Intent(IntentClass.NODE_LABEL, sign, "gpu")]


def _cpu_nodes(found: Found) -> list[Intent] | None:
    return _without_gpu(found) if found["kind"][0].value == "cpu" else None


def _gpu_nodes(found: Found) -> list[Intent] | None:
    return _labels(found, ["gpu"])


def _place(found: Found) -> list[Intent] | None:
    return _labels(found, places_of(found["domain"][0], found["ids"]))


def _except_place(found: Found) -> list[Intent] | None:
    """Any zone except b."""
    targets = places_of(found["domain"][0], found["ids"])
    return [Intent(IntentClass.NODE_LABEL, Sign.AVOID, target) for target in targets] or None


def places_of(domain: Token, ids: Sequence[Token]) -> list[str]:
    """Return ``key=value`` of each place listed after "zone", "rack", "node"."""
    key = domain.value if domain.tag == "DOMAIN" else "hostname"
    named = [t for t in ids if t.tag in {"NAME", "NUM", "ZONE", "REGION"} or t.text == "a"]
    named = [token for token in named if token.text not in _NO_IDS]
    if key == "hostname" and not all(_is_node_name(token) for token in named):
        return []
    return [_place_value(key, token) for token in named]


def _is_node_name(token: Token) -> bool:
    return token.tag == "NAME" and any(c.isdigit() for c in token.text)


def _place_value(key: str, token: Token) -> str:
    if token.tag in {"ZONE", "REGION"}:
        return f"{token.tag.lower()}={token.value}"
    return f"{key}={token.text}"


def _known_places(found: Found) -> list[Intent] | None:
    keys = {"ZONE": "zone", "REGION": "region", "INSTANCE": "instance-type"}
    ids = [token for token in found["ids"] if token.tag in keys]
    return _labels(found, [f"{keys[token.tag]}={token.value}" for token in ids])


def _selector(found: Found) -> list[Intent] | None:
    tags = {token.tag for token in found.whole}
    keys = {token.value.partition("=")[0] for token in found["ids"] if token.tag == "SELECTOR"}
    if "NODES" not in tags and ("AWAY" in tags or keys <= _POD_KEYS):
        return None
    return _labels(found, [token.value for token in found["ids"] if token.tag == "SELECTOR"])


def _pool(found: Found) -> list[Intent] | None:
    name = "-".join(token.text.replace(" ", "-") for token in found["name"])
    return _labels(found, [f"pool={name}"])


def _of_kind(found: Found) -> list[Intent] | None:
    """Nodes of type gold."""
    said = " ".join(token.text for token in found.whole)
    told = any(f"of {word}" in said for word in ("type", "kind", "class", "sort"))
    return _labels(found, [found["name"][0].text]) if told else None


def _kind_of_node(found: Found) -> list[Intent] | None:
    kinds: list[list[str]] = [[]]
    for token in found["name"]:
        if token.tag in {"COMMA", "AND", "NOT"}:
            kinds.append([])
        elif token.tag not in {"DET", "NODES", "PODS"}:
            kinds[-1].append(token.text.replace(" ", "-"))
    names = [name_words("-".join(words))[:MAX_WORD_CHARS] for words in kinds if words]
    return _labels(found, names)


_ID = "(?:NAME|NUM|ZONE|REGION|DET)"
_AND = "(?:COMMA|AND)+DET*"
_BYTES = "NUM UNIT?"

RULES: tuple[Rule, ...] = (
    rule(
        f"{_BEFORE}<form:FORM>(?:FILL|OF|DET|GPU)*<model:ACCEL>{_CARD}"
        f"(?:WITH?DET*<size:{_BYTES}>(?!(?:OF|FREE|USED)*(?:RES|GPU|FREE)){_CARD})?",
        _accelerator,
    ),
    rule(f"{_BEFORE}<maker:FEATURE><model:ACCEL>{_CARD}", _made_by),
    rule(
        f"{_BEFORE}(?:GE|DET)*<size:{_BYTES}>GPU*<model:ACCEL>(?:(?:IN|WITH|DET|FILL)*<form:FORM>)?{_CARD}",
        _accelerator,
    ),
    rule(
        f"{_BEFORE}VENDOR?<model:ACCEL>GPU*(?:(?:IN|WITH|DET|FILL)*<form:FORM>)?{_CARD}"
        f"(?:WITH?DET*<size:{_BYTES}>(?!(?:OF|FREE|USED)*(?:RES|GPU|FREE)){_CARD})?",
        _accelerator,
    ),
    rule(f"{_BEFORE}<model:VENDOR>{_CARD}(?!(?:WITH|OF)+(?:GE|LE|EQ|DET)*NUM)", _accelerator),
    rule(f"{_BEFORE}<form:FORM>{_CARD}(?!RES)", _form_alone),
    rule(f"{_BEFORE}<name:(?:NAME|GPU|RES|FEATURE){{1,3}}>NODES?POOL", _pool),
    rule(f"{_BEFORE}CPUONLY NODES*", _without_gpu),
    rule(f"{_BEFORE}<kind:RES>NODES+", _cpu_nodes),
    rule(f"{_BEFORE}<kind:FEATURE>(?:NODES|POOL|FILL|GPU|RES)*", _feature),
    rule(
        f"{_BEFORE}GPU NODES+|NODES+(?:WITH|RUNS)DET*GPU(?!IN|RES|USED|WITH|RUNS|GE|LE|OF)",
        _gpu_nodes,
    ),
    rule(
        f"{_BEFORE}<domain:DOMAIN|NODES>NAMED?<ids:{_ID}(?:{_AND}{_ID}(?!NODES|POOL|PODS|NAME))*>",
        _place,
    ),
    rule(f"(?:IN)*OTHER*<domain:DOMAIN>AVOID(?:IN|DET)*<ids:{_ID}(?:{_AND}{_ID})*>", _except_place),
    rule(f"{_BEFORE}<ids:NAME><domain:DOMAIN>", _place),
    rule(
        f"{_BEFORE}(?:NODES|POOL|DOMAIN)*<ids:(?:ZONE|REGION|INSTANCE)"
        f"(?:{_AND}(?:ZONE|REGION|INSTANCE))*>(?:DOMAIN|NODES)*",
        _known_places,
    ),
    rule(
        f"{_BEFORE}(?:NODES|LABELLED|WITH|RUNS|NAMED|DET)*<ids:SELECTOR(?:{_AND}SELECTOR)*>"
        "(?:NODES|LABELLED)*",
        _selector,
    ),
    rule(f"{_BEFORE}POOL NAMED?<name:NAME>", _pool),
)
"""Things that are clearly about nodes, tried before pods are."""

KIND_RULES: tuple[Rule, ...] = (
    rule(f"{_BEFORE}NODES(?:OF FILL)?<name:NAME>", _of_kind),
    rule(
        f"{_BEFORE}<name:(?:RES?NAME{{1,3}}|RES)"
        f"(?:NODES*{_AND}NAME{{1,3}}(?=(?:{_AND}NAME{{1,3}})*PODS?NODES))*>"
        "PODS?NODES+",
        _kind_of_node,
    ),
)
"""Any words before "nodes": the last resort."""
