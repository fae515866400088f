"""Text that databases can store, and articles for class names in messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.values.text import column_text, is_encodable, storable_text, with_article


@given(st.text(st.characters(codec="utf-8")), st.characters(categories=["Cs"]))
def test_only_surrogates_have_no_utf8_form(text: str, surrogate: str) -> None:
    """Only text with a lone surrogate cannot be encoded as UTF-8."""
    assert is_encodable(text)
    assert not is_encodable(text + surrogate)


@given(st.text(st.characters()))
def test_storable_text_has_no_surrogate_and_no_nul(text: str) -> None:
    """In storable text, only lone surrogates and NUL are replaced, each by a question mark."""
    stored_text = storable_text(text)
    assert len(text) == len(stored_text)
    assert is_encodable(stored_text)
    assert "\0" not in stored_text
    assert all(
        new_text in {old_text, "?"} for new_text, old_text in zip(stored_text, text, strict=True)
    )
    assert stored_text == storable_text(stored_text)


@given(st.text(st.characters()))
def test_text_of_a_column_is_escaped_and_cut(text: str) -> None:
    """Text for a database column can be encoded, has no NUL, and fits the column."""
    stored_text = column_text(text, 20)
    assert is_encodable(stored_text)
    assert "\0" not in stored_text
    assert len(stored_text) <= 20
    assert column_text(text, 10_000).startswith(stored_text)
    if is_encodable(text) and "\0" not in text:
        assert text[:20] == stored_text


@pytest.mark.parametrize(
    "expected",
    ["an int", "an OSError", "an UnboundLocalError", "an HTTPError", "an SSLContext", "a str"],
)
def test_article_before_a_class_name_depends_on_its_sound(expected: str) -> None:
    """In a message, a class name has the article "a" or "an" by its sound."""
    assert expected == with_article(expected.split()[1])
