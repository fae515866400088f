"""Text that can and cannot be written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring.domain.text import is_encodable


@given(st.text(st.characters(codec="utf-8")), st.characters(categories=["Cs"]))
def test_only_surrogates_have_no_utf8_form(text: str, surrogate: str) -> None:
    """Any text is encodable until it has a lone surrogate."""
    assert is_encodable(text)
    assert not is_encodable(text + surrogate)
