"""Regular expressions that are compiled at their first use."""

import re

import pytest

from moorage.domain.values.patterns import late_pattern


def test_late_pattern_matches_as_a_compiled_one() -> None:
    """A lazily compiled pattern has the methods, flags and text of the compiled expression."""
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


def test_invalid_lazily_compiled_pattern_raises_at_its_first_use() -> None:
    """A lazily compiled pattern that is invalid raises an error at its first use, not earlier."""
    pattern = late_pattern("(")

    with pytest.raises(re.error):
        pattern.search("(")
