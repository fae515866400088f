"""Regular expressions that are compiled when they are first used."""

import re

import pytest

from moorage.domain.values.patterns import late_pattern


def test_late_pattern_matches_as_a_compiled_one() -> None:
    """It has the methods, the flags and the text of the compiled expression."""
    pattern, compiled_pattern = (
        late_pattern("a(b+)", re.IGNORECASE),
        re.compile("a(b+)", re.IGNORECASE),
    )

    for _ in range(2):
        assert compiled_pattern.sub(r"<\1>", "xABb") == pattern.sub(r"<\1>", "xABb")
    assert (compiled_pattern.pattern, compiled_pattern.flags) == (pattern.pattern, pattern.flags)
    assert pattern.fullmatch("ba") is None
    with pytest.raises(AttributeError):
        pattern.missing  # type: ignore[attr-defined]  # noqa: B018 - no pattern has it


def test_late_pattern_is_compiled_at_its_first_use() -> None:
    """An invalid expression is an error when it is used, not when it is written down."""
    pattern = late_pattern("(")

    with pytest.raises(re.error):
        pattern.search("(")
