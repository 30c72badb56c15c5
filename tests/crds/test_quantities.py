"""Quantities read exactly, refused clearly, rounded as Kubernetes rounds."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_crds.quantities import MAX_AMOUNT, parse_quantity, to_millicores, to_units
from moorage_policies.errors import BadInputError

SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(1024),
    "Mi": Fraction(1024**2),
    "Gi": Fraction(1024**3),
    "Ti": Fraction(1024**4),
    "Pi": Fraction(1024**5),
    "Ei": Fraction(1024**6),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("1", Fraction(1), id="bare"),
        pytest.param("500m", Fraction(1, 2), id="milli"),
        pytest.param("1.5Gi", Fraction(3 * 2**29), id="binary-with-a-point"),
        pytest.param("2e3", Fraction(2000), id="small-exponent"),
        pytest.param("2E3", Fraction(2000), id="capital-exponent-is-no-exa"),
        pytest.param("2E", Fraction(2 * 10**18), id="exa"),
        pytest.param("12e-1", Fraction(6, 5), id="negative-exponent"),
        pytest.param("+.5", Fraction(1, 2), id="sign-and-no-whole-part"),
        pytest.param("5.", Fraction(5), id="no-decimal-part"),
        pytest.param("-1", Fraction(-1), id="negative"),
        pytest.param(" 3 ", Fraction(3), id="surrounding-space"),
        pytest.param(2, Fraction(2), id="integer"),
        pytest.param(0.25, Fraction(1, 4), id="float"),
        # finer than a nano: one nano, away from zero
        pytest.param("0.00000000001", Fraction(1, 10**9), id="below-a-nano-rounds-up"),
        pytest.param("-0.1n", Fraction(-1, 10**9), id="below-a-nano-rounds-away-from-zero"),
    ],
)
def test_parses_exactly(text: str | float, expected: Fraction) -> None:
    assert parse_quantity(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ".",
            "Ki",
            "1 Gi",
            "1ki",
            "1KiB",
            "1mm",
            "abc",
            "1e",
            "1.2.3",
            "--1",
            "0x10",
            "1_000",
        ),
        pytest.param("\u0661", id="another-script's-digit"),
        pytest.param("9" * 300, id="endless"),
        *(float("nan"), float("inf"), True),
    ],
)
def test_refuses_what_is_no_quantity(text: str | float) -> None:
    with pytest.raises(BadInputError, match=r"is no quantity; write a number with one of"):
        parse_quantity(text)


@given(
    whole=st.integers(0, 10**12),
    part=st.text("0123456789", max_size=6),
    suffix=st.sampled_from(sorted(SUFFIXES)),
    negative=st.booleans(),
)
def test_every_suffix_agrees_with_exact_arithmetic(
    whole: int, part: str, suffix: str, negative: bool
) -> None:
    text = f"{'-' if negative else ''}{whole}.{part}{suffix}"
    exact = Fraction(Decimal(f"{whole}.{part}")) * SUFFIXES[suffix]
    nanos = math.ceil(exact * 10**9)
    assert parse_quantity(text) == Fraction(-nanos if negative else nanos, 10**9)


@given(st.fractions(min_value=0, max_value=10**9), st.sampled_from(["m", "", "Ki"]))
def test_rounding_is_up_and_by_less_than_one(value: Fraction, suffix: str) -> None:
    text = f"{float(value):.6f}{suffix}"
    exact = parse_quantity(text)
    assert 0 <= to_units(text) - exact < 1
    assert 0 <= to_millicores(text) - exact * 1000 < 1


@given(st.text(max_size=20))
def test_any_text_gives_a_number_or_a_bad_input(text: str) -> None:
    try:
        value = parse_quantity(text)
    except BadInputError:
        return
    assert isinstance(value, Fraction)


@pytest.mark.parametrize("text", ["9E", "10E", "1e30", "1e99999999", "8Ei"])
def test_absurd_amounts_stop_at_the_ceiling(text: str) -> None:
    assert to_units(text) == MAX_AMOUNT
    assert to_millicores(text) == MAX_AMOUNT
