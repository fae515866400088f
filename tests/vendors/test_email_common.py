"""Helpers that all email vendors share, for tags, metadata and bare addresses."""

from __future__ import annotations

import re
from email.header import decode_header, make_header
from email.utils import parseaddr

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.contracts.email_address import EmailAddress
from moorage.vendors.email._common import (
    address_header,
    bare_address,
    combined_pairs,
    split_pairs,
)

NAMES = st.one_of(
    st.sampled_from(["a", "tag_a", "word_a", "word_tag_a", "tag_tag_a", "tag_", "word_", "true"]),
    st.from_regex(r"(tag_|word_){0,2}[a-z]{1,3}", fullmatch=True),
)
ALLOWED = re.compile(r"[A-Za-z0-9_-]{1,256}")


@given(
    tags=st.lists(NAMES, unique=True),
    metadata=st.dictionaries(NAMES, st.sampled_from(["true", "7", "a"])),
)
def test_tags_and_metadata_round_trip(tags: list[str], metadata: dict[str, str]) -> None:
    """Tags and metadata with any names are sent in one list and read back unchanged."""
    pairs = combined_pairs(tags, metadata, ALLOWED, "Resend")

    assert (tuple(tags), metadata) == split_pairs(pairs)


@example(name="<<<<<<<ß日日日日日日日😀😀😀😀")
@given(name=st.text(st.sampled_from('aß日,😀" <é'), min_size=1, max_size=200))
def test_display_name_has_encoded_words_of_75_characters(name: str) -> None:
    """A display name is split into encoded words as RFC 2047 allows, and is decoded unchanged."""
    header = address_header(EmailAddress("ada@example.com", name))
    words = re.findall(r"=\?utf-8\?[^ ]*\?=", header)
    display_name, address = parseaddr(header)

    assert header.isascii()
    assert all(len(word) <= 75 for word in words)
    assert "ada@example.com" == address
    if not name.isascii():
        assert name == str(make_header(decode_header(display_name)))


@pytest.mark.parametrize(
    "written, address",
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada <ada@example.com>", "ada@example.com"),
        ('"Ada, Countess" <ada@example.com>', "ada@example.com"),
        ("=?utf-8?q?Zo=C3=AB?= <zoe@example.com>", "zoe@example.com"),
        ("<ada@example.com>", "ada@example.com"),
        ("Ada, Countess <ada@example.com> ", "ada@example.com"),
        ("a < b", "a < b"),
        ("<" * 2_000, "<" * 2_000),
        ("", ""),
        (None, None),
    ],
)
def test_display_name_is_removed_from_address(written: str | None, address: str | None) -> None:
    """The display name is removed from an address; a text without one stays unchanged."""
    assert address == bare_address(written)
