from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_policies.hints.numerals import in_digits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two hundred gb", "200 gb"),
        ("a hundred and twenty gb", "120 gb"),
        ("twenty-four cores", "24 cores"),
        ("half a terabyte", "0.5 terabyte"),
        ("one and a half tb", "1.5 tb"),
        ("half a dozen gpus", "6 gpus"),
        ("a quarter of a tb", "0.25 tb"),
        ("3/4 of the cpu", "75% of the cpu"),
        ("1/2 tb", "0.5 tb"),
        ("one replica per node", "one replica per node"),
        ("half of the memory", "half of the memory"),
        ("namespace/redis and a/b", "namespace/redis and a/b"),
        ("24/7", "24/7"),
        ("1/0 and 0/3", "1/0 and 0/3"),
    ],
)
def test_numbers_in_several_words_become_digits(text: str, expected: str) -> None:
    assert in_digits(text) == expected


@given(st.text(max_size=200))
def test_any_text_survives(text: str) -> None:
    once = in_digits(text)
    assert isinstance(once, str)
    assert len(once) <= 2 * len(text) + 10
