"""SEPA's Latin set and the replacements of other characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.contracts.bank import is_latin, transliterate


@pytest.mark.parametrize(
    "text, latin",
    [
        ("Müller & Söhne", "Mueller + Soehne"),
        ("Straße", "Strasse"),
        ("Ægir Øst", "Aegir Ost"),
        ("Café", "Cafe"),
        ("Cafe\u0301", "Cafe"),
        ("Łódź", "Lodz"),
        ("Ελλάς", "Ellas"),
        ("Борис", "Boris"),
        ("Щука", "Shtuka"),
        ("10 €", "10 E"),
        ("a\tb\n c", "a b c"),
        ("“x” – y_z", "'x' - y-z"),
        ("mail@example.com", "mail(at)example.com"),
        ("ﬁn", "fin"),
        ("東京", ".."),
        ("\x00", "."),
        ("½", "1.2"),
    ],
)
def test_texts_are_transliterated(text: str, latin: str) -> None:
    """Accented letters become Latin letters, signs similar signs, and other characters dots."""
    assert latin == transliterate(text)


@given(st.text())
def test_transliterated_texts_are_latin(text: str) -> None:
    """Transliteration turns any text into Latin letters.

    Transliterating the result changes nothing.
    """
    latin = transliterate(text)

    assert is_latin(latin)
    assert latin == transliterate(latin)


@given(st.text("ABCxyz0189/-?:().,'+"))
def test_latin_text_is_not_changed(text: str) -> None:
    """A text in the Latin set is not changed."""
    assert is_latin(text)
    assert text == transliterate(text)


@pytest.mark.parametrize("character", 'äß€&@_"%*#!$<>;=[]{}|\\~`^\t\n\x00')
def test_other_characters_are_not_latin(character: str) -> None:
    """Characters that some banks refuse do not count as Latin."""
    assert not is_latin(f"a{character}b")
