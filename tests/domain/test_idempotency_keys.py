"""Tests of valid and invalid idempotency keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.idempotency.claims import checked_key
from moorage.errors import InvalidData
from tests.domain.state_store import has_remedy


@pytest.mark.parametrize("key", ["a", "INV-2041/1", "x" * 255, "with space", "~!"])
def test_idempotency_key_is_1_to_255_printable_ascii_characters(key: str) -> None:
    """An idempotency key is 1 to 255 printable ASCII characters, without spaces around it."""
    assert key == checked_key(key)


@pytest.mark.parametrize(
    "key", [None, "", " ", " a", "a ", "x" * 256, "a\n", "a\0b", "é", "\x7f", 7, b"a", True]
)
def test_missing_and_invalid_keys_are_refused(key: object) -> None:
    """An idempotency key that is missing, empty, too long or not plain text is refused."""
    with pytest.raises(InvalidData) as excinfo:
        checked_key(key)
    assert "idempotency_key" == excinfo.value.field
    assert has_remedy(excinfo.value)


@given(st.text(max_size=300))
def test_a_key_fits_into_a_header(text: str) -> None:
    """Every valid idempotency key can be sent as a header unchanged."""
    fits = 0 < len(text) <= 255 and text.isascii() and text.isprintable() and text == text.strip()
    try:
        key = checked_key(text)
    except InvalidData:
        assert not fits
    else:
        assert fits
        assert text == key
