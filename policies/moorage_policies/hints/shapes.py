"""Words known by their shape: numbers with units, GPU models, zones, instance types, selectors."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """What a word's shape says: a tag, its value, the number of a ``NUM``."""

    tag: str
    value: str = ""
    number: float | None = None


UNIT_NAMES: dict[str, str] = {
    name: unit
    for unit, names in {
        "cores": "core cores vcpu vcpus threads hyperthreads",
        "millicores": "millicore millicores mcpu millicpu",
        "B": "bytes",
        "KB": "kb kilobytes",
        "MB": "mb megabyte megabytes megs meg",
        "GB": "gb g gig gigs gigabyte gigabytes gbs",
        "TB": "tb t terabyte terabytes tbs",
        "PB": "pb petabyte petabytes",
        "KiB": "kib ki kibibytes",
        "MiB": "mib mi mebibyte mebibytes",
        "GiB": "gib gi gibibyte gibibytes",
        "TiB": "tib ti tebibyte tebibytes",
        "percent": "% percent pct percentage",
        "Kbps": "kbps kbit/s",
        "Mbps": "mbps mbit/s mb/s mbit mbits megabit megabits",
        "Gbps": "gbps gbit/s gb/s gbit gbits gigabit gigabits gbe gb/sec",
        "Tbps": "tbps tbit/s",
        "usd/h": "usd/h usd/hr $/h $/hr",
        "ns": "ns nanoseconds",
        "us": "us µs μs microsecond microseconds usec",
        "ms": "ms msec msecs millisecond milliseconds millis",
        "s": "s sec secs second seconds",
        "minutes": "minute minutes min mins",
        "hours": "hour hours hrs hr h",
        "days": "day days d",
        "weeks": "week weeks wk wks",
        "months": "month months",
        "years": "year years yr yrs",
        "W": "w watt watts",
        "kW": "kw kilowatt kilowatts",
        "?": "hz khz mhz ghz rpm fps flops tflops teraflops petaflops km miles meters metres",
    }.items()
    for name in names.split()
}
"""Unit by the way people write it; ``?`` for units that measure nothing a node has."""

_STUCK_ONLY = {
    "us",
    "g",
    "t",
    "b",
    "s",
    "h",
    "d",
    "w",
    "m",
    "mi",
    "ki",
    "ti",
    "gi",
    "min",
    "second",
}
"""Letters that mean a unit only right after a number."""
_COUNTS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "sixteen": 16, "twenty": 20, "thirty": 30,
    "thirty-two": 32, "forty": 40, "fifty": 50, "sixty": 60, "sixty-four": 64, "seventy": 70,
    "eighty": 80, "ninety": 90, "hundred": 100, "dozen": 12, "couple": 2,
}  # fmt: skip
_SHARES = {"half": 50, "quarter": 25, "third": 33, "three-quarters": 75}
_NUMBER = re.compile(r"([$€£]?)(\d[\d,]*(?:\.\d+)?)(\+?)([a-zµμ%][a-z/%]*)?(\+?)")
GPU_FAMILIES = ("ampere", "blackwell", "hopper", "lovelace", "pascal", "turing", "volta")
_MODELS = re.compile(
    r"(?:nvidia-)?(?:"
    r"(?:h100|h200|h800|h20|gh200|b100|b200|b300|gb200|gb300|a100|a800|a10g?|a16|a30|a40|a2|a6000|"
    r"l40s?|l4|l20|l2|t4g?|v100s?|p100|p40|p4|k80|m60|mi\d{2,3}[xa]?|gaudi-?[23]?|gb?10|"
    r"gtx-?\d{3,4}|rtx-?(?:pro-?)?[a-z]?\d{4}(?:-?ti|-?ada|-?super)?|(?:rtx-?)?[a-z]?\d{4}-ada|"
    r"tpu(?:-?v\d\w*)?|max1[15]50|flex-?170|rtx|gtx)"
    r"(?:-(?:sxm\d?|pcie|nvl|hgx))?(?:-\d+gb?)?(?:-(?:sxm\d?|pcie|nvl))?"
    r"|hopper|blackwell|ampere|volta|turing|lovelace|pascal|ada|ada-lovelace|rubin|cdna\d?)s?"
)
_CARD = re.compile(r"([2-5]0[5-9]0)(?:s|-?ti)?")
_PLURAL_MODEL = re.compile(r"(.*[0-9gx])s|(hopper|blackwell|ampere|ada)s")
_MIG = re.compile(r"(?:mig-)?(\d+g\.\d+gb)|mig")
_REGION_STEM = (
    r"(?:us|eu|ap|ca|sa|af|me|il|cn|mx|us-gov|europe|asia|australia|northamerica|southamerica|africa)"
    r"-(?:north|south|east|west|central|northeast|southeast|northwest|southwest)"
)
_ZONE = re.compile(_REGION_STEM + r"-?\d+-?[a-f]")
_REGION = re.compile(_REGION_STEM + r"(?:-?\d+)?|(?:east|west|central|north|south)us\d?|"
                     r"(?:west|north)europe")  # fmt: skip
_INSTANCE = re.compile(
    r"[a-z]+\d+[a-z-]*\d*\.(?:\d*x?large|metal|medium|small|micro|nano)(?:-\d+xl)?"
    r"|(?:a2|a3|g2|n1|n2|n2d|e2|c2|c2d|c3|t2d|t2a|m1|m2|m3)-[a-z]+-[\dg]+g?"
    r"|standard_[a-z0-9_]+"
)
_SELECTOR = re.compile(r"([a-z0-9][\w./-]*?)={1,2}([\w./+-]+)")
_AMD_MODEL = re.compile(r"mi\d{2,3}[xa]?.*")


_TOPOLOGY_LABELS = {
    "topology.kubernetes.io/zone": "zone",
    "failure-domain.beta.kubernetes.io/zone": "zone",
    "topology.kubernetes.io/region": "region",
    "topology.kubernetes.io/rack": "rack",
    "kubernetes.io/hostname": "hostname",
}
"""Label keys that stand for a domain when nothing is asked of their value."""


def shape_of(word: str) -> Shape | None:
    """Return what the word's shape says, ``None`` for an ordinary word."""
    if word in _COUNTS:
        return Shape("NUM", "", _COUNTS[word])
    if word in _SHARES:
        return Shape("NUM", "percent", _SHARES[word])
    if word in UNIT_NAMES and word not in _STUCK_ONLY:
        return Shape("UNIT", UNIT_NAMES[word])
    return _identifier(word) or _number(word)


def _number(word: str) -> Shape | None:
    found = _NUMBER.fullmatch(word)
    number = None if found is None else _to_number(found[2])
    if found is None or number is None:
        return None
    currency, _digits, plus, unit, trailing_plus = found.groups()
    name = "usd/h" if currency else _STUCK_UNITS.get(unit or "", UNIT_NAMES.get(unit or ""))
    return (
        None if name is None else Shape("NUMPLUS" if plus or trailing_plus else "NUM", name, number)
    )


_STUCK_UNITS = {"": "", "x": "", "m": "millicores"}
"""What may stand right behind a number besides the usual units."""


def _to_number(digits: str) -> float | None:
    plain = digits.rstrip(",.")
    if "," in plain and not re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", plain):
        return None
    plain = plain.replace(",", "")
    return float(plain) if len(plain) <= 15 else None  # noqa: PLR2004 what a float holds exactly


def _identifier(word: str) -> Shape | None:
    if (card := _CARD.fullmatch(word)) is not None:
        return Shape("ACCEL", f"rtx-{card[1]}")
    if (selector := _SELECTOR.fullmatch(word)) is not None:
        return Shape("SELECTOR", f"{selector[1]}={selector[2]}")
    if (partition := _MIG.fullmatch(word)) is not None:
        return Shape("ACCEL", f"mig-{partition[1]}" if partition[1] else "mig")
    if _MODELS.fullmatch(word) is not None:
        return Shape("ACCEL", _model_name(word))
    return _place(word)


def _place(word: str) -> Shape | None:
    if word in _TOPOLOGY_LABELS:
        return Shape("DOMAIN", _TOPOLOGY_LABELS[word])
    for tag, pattern in (("ZONE", _ZONE), ("REGION", _REGION), ("INSTANCE", _INSTANCE)):
        if pattern.fullmatch(word) is not None:
            return Shape(tag, word)
    return None


def _model_name(word: str) -> str:
    name = word.removeprefix("nvidia-")
    plural = _PLURAL_MODEL.fullmatch(name)
    if plural is not None and name != "l40s":
        name = name[:-1]
    return re.sub(r"^(rtx|gtx)-?", r"\1-", name).rstrip("-")
