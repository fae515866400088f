"""Parsing of `Content-Type`."""

from __future__ import annotations

import pytest

from moorage.domain.http.media_type import decode_body, essence, is_json


@pytest.mark.parametrize(
    "content_type, expected",
    [
        (None, ""),
        ("", ""),
        ("Text/HTML", "text/html"),
        (" text/html ; charset=utf-8", "text/html"),
    ],
)
def test_content_type_is_reduced_to_type_and_subtype(
    content_type: str | None, expected: object
) -> None:
    """A content type is reduced to its type and subtype, in lower case."""
    assert expected == essence(content_type)


@pytest.mark.parametrize(
    "content_type, expected",
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/problem+json", True),
        ("text/json", True),
        ("application/x-ndjson", False),
        ("text/plain; note=+json", False),
        (None, False),
    ],
)
def test_json_is_recognised_by_content_type_or_suffix(
    content_type: str | None, expected: object
) -> None:
    """JSON is recognised by its content type or its suffix, whatever the parameters."""
    assert expected is is_json(content_type)


@pytest.mark.parametrize(
    "content_type, body, expected",
    [
        ("text/html; charset=ISO-8859-1", b"\xfc", "ü"),
        ('text/html;CHARSET="latin-1"; x=y', b"\xfc", "ü"),
        ("text/html; charset = utf-16le", b"a\0", "a"),
        ("text/html; charset=us-ascii", "ü".encode(), "��"),
        ("text/html", "ü".encode(), "ü"),
        ("text/html", b"\xfc", "�"),
        (None, "ü".encode(), "ü"),
        ("text/html; charset=nonsense", b"a\xfc", "a�"),
        ("text/html; charset=a\xfc", b"a", "a"),
        ("text/html; charset=a\0b", b"a", "a"),
        ("text/html; charset=hex", b"zz", "zz"),
        ("text/html; charset=undefined", b"a", "a"),
        ("text/html; charset=idna", b"a", "a"),
        ("text/html; charset=punycode", b"a-", "a-"),
        ("text/html; charset=unicode_escape", rb"\w", r"\w"),
        ("text/html; charset=raw_unicode_escape", rb"\u", r"\u"),
    ],
)
def test_text_is_decoded_as_declared(content_type: str | None, body: bytes, expected: str) -> None:
    """Text is decoded with its declared charset if Python has that charset.

    Decoding never fails.
    """
    assert expected == decode_body(body, content_type)
