"""Text that can and cannot be written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.text import is_encodable, storable


@given(st.text(st.characters(codec="utf-8")), st.characters(categories=["Cs"]))
def test_only_surrogates_have_no_utf8_form(text: str, surrogate: str) -> None:
    """Any text is encodable until it has a lone surrogate."""
    assert is_encodable(text)
    assert not is_encodable(text + surrogate)


@given(st.text(st.characters()))
def test_what_is_storable_is_as_long_and_has_no_surrogate_and_no_nul(text: str) -> None:
    """What every database takes stays as it is."""
    kept = storable(text)
    assert len(text) == len(kept)
    assert is_encodable(kept)
    assert "\0" not in kept
    assert all(one in {other, "?"} for one, other in zip(kept, text, strict=True))
    assert kept == storable(kept)
