from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_policies.hints.grammar import RULES
from moorage_policies.hints.patterns import _LETTERS, first_letters


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("ab|c", "ac"),
        ("a?b*(?:c|d)+e", "abcd"),
        ("(?P<who>a|)b", "ab"),
        ("(?=a)(?!b)(?<!c)d", "d"),
        ("(?:a?){0,2}b{0,1}c$", "abc"),
        ("a{1,3}?b", "a"),
        ("((a|b)?c?)d", "abcd"),
        ("a*$", "a"),
    ],
)
def test_first_letters_of_a_pattern(pattern: str, expected: str) -> None:
    assert first_letters(pattern) == set(expected)


@settings(max_examples=300)
@given(text=st.text(alphabet=sorted(_LETTERS.values()), min_size=1, max_size=8))
def test_no_rule_is_passed_over_that_would_have_matched(text: str) -> None:
    for rule in RULES:
        match = rule.pattern.match(text)
        if match is not None and match.end() > 0:
            assert text[0] in rule.starts
