"""Masking of known secrets in every encoding."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.secrets.sensitive import MASK
from moorage.domain.secrets.value_mask import masked_text, masked_value, value_mask

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "kX9/vQ2+pL7 wZ&4=mN8\"tR'3<é"
PLAIN = "kx9vq2pl7wz4mn8tr3canary"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "percent": lambda text: quote(text, safe=""),
    "percent, small": lambda text: quote(text, safe="").lower(),
    "percent, slashes kept": quote,
    "form": quote_plus,
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "percent, all": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "json": lambda text: json.dumps(text)[1:-1],
    "json, no ascii": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "json, slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "json, all": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "json, capitals": lambda text: "".join(f"\\u{ord(letter):04X}" for letter in text),
    "javascript": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "html": lambda text: html.escape(text, quote=True),
    "html, decimal": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "html, hexadecimal": lambda text: "".join(f"&#x{ord(letter):X};" for letter in text),
    "html of percent": lambda text: html.escape(quote(text, safe="")).replace("%", "&#37;"),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, bare": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64, url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64, percent": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "base64, json": lambda text: base64.b64encode(text.encode()).decode().replace("/", "\\/"),
    "base64 after 1": lambda text: base64.b64encode(b"u" + text.encode()).decode(),
    "base64 after 2": lambda text: base64.b64encode(b"u:" + text.encode()).decode(),
    "base64 between": lambda text: base64.b64encode(b"me:" + text.encode() + b":x").decode(),
    "base64, reversed pair": lambda text: base64.b64encode(text.encode() + b":me").decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, capitals": lambda text: text.encode().hex().upper(),
    "capitals": str.upper,
    "small": str.lower,
    "bearer": lambda text: f"BEARER {text}",
    "pair": lambda text: f"user:{text}",
    "over lines": lambda text: "\r\n ".join(text[at : at + 5] for at in range(0, len(text), 5)),
    "over escaped lines": lambda text: "\\n".join(
        text[at : at + 5] for at in range(0, len(text), 5)
    ),
    "utf-16": lambda text: text.encode("utf-16-le").decode("latin-1"),
    "beginning": lambda text: text[:12],
    "end": lambda text: text[-12:],
    "middle": lambda text: text[3:20],
    "beginning, starred": lambda text: f"{text[:9]}****",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", [SECRET, PLAIN, PLAIN.upper() + "a", PLAIN * 12])
def test_secret_is_masked_in_each_encoding(secret: str, spelling: str) -> None:
    """A secret is masked in every encoding, and the text around it stays."""
    echo = SPELLINGS[spelling](secret)
    shown_message = masked_text(f"Bad key <{echo}>, sorry.", value_mask([secret.encode()]))

    assert echo not in shown_message
    assert MASK in shown_message
    assert shown_message.startswith("Bad key <")
    assert shown_message.endswith(">, sorry.")
    pieces = {echo[offset : offset + 8] for offset in range(len(echo) - 7)}
    assert not [piece for piece in pieces if piece in shown_message.replace("Bad key <", "")]


@given(st.text(min_size=8, max_size=80), st.sampled_from(sorted(SPELLINGS)))
def test_any_secret_is_masked_as_it_is(secret: str, spelling: str) -> None:
    """Any secret is masked, plain and in its usual encodings."""
    encoded_bytes = secret.encode("utf-8", "replace").strip()
    mask = value_mask([encoded_bytes])
    text = encoded_bytes.decode()
    if len(text) >= 8 and "-----" not in text and not text.startswith("{"):
        assert text not in masked_text(f"[{text}]", mask)
        assert quote(text) not in masked_text(f"[{quote(text)}]", mask)
    masked_text(SPELLINGS[spelling](text), mask)


def test_secrets_of_up_to_three_characters_are_not_masked() -> None:
    """Secrets of up to three characters are not masked.

    Secrets of up to seven are masked only as whole words.
    """
    mask = value_mask([b"abc", b"kite7"])

    assert "abc kite77 ***, (***) Kite7s" == masked_text("abc kite77 kite7, (KITE7) Kite7s", mask)


def test_base64_of_user_and_password_is_masked_as_a_whole() -> None:
    """Base64 of user and password is masked as a whole, however short the password is."""
    pair = b"u:kite7"

    assert "got Basic *** here" == masked_text(
        f"got Basic {base64.b64encode(pair).decode()} here", value_mask([pair])
    )


def test_value_sent_under_sensitive_name_is_masked_as_whole_word_only() -> None:
    """A value sent under a sensitive name is masked as a whole word only, in any escaping."""
    mask = value_mask([], [b"tok_visa/debit"])

    assert "***, ***, tok_visa, tok_visa/debits" == masked_text(
        "tok_visa/debit, tok_visa%2Fdebit, tok_visa, tok_visa/debits", mask
    )


def test_short_fragments_of_a_secret_are_shown() -> None:
    """A secret's first or last 7 characters, or 11 from its middle, are not masked."""
    mask = value_mask([PLAIN.encode()])
    words = f"{PLAIN[:7]} {PLAIN[-7:]} {PLAIN[4:15]}"

    assert words == masked_text(words, mask)


def test_damaged_copy_of_a_long_secret_is_masked_on_both_sides() -> None:
    """If a text has a long secret with one wrong character, the parts around it are masked."""
    secret = hashlib.sha512(b"a key").hexdigest().encode()
    mask = value_mask([secret])
    for position in (20, 64, 100):
        damaged = secret[:position] + b"!" + secret[position + 1 :]
        assert b"<***!***> and ***" == mask(b"<" + damaged + b"> and " + secret)


def test_word_that_secret_begins_or_ends_with_is_not_masked_elsewhere() -> None:
    """A word at the start or end of a secret is not masked elsewhere."""
    mask = value_mask([b"TEST_9x2q_shipengine"])

    assert "shipengine said ***" == masked_text("shipengine said TEST_9x2q_ship", mask)


def test_only_the_key_of_a_key_file_is_masked() -> None:
    """If a secret is a key file, only its key is masked in other texts, not its other lines."""
    key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ"
    armoured = f"-----BEGIN PRIVATE KEY-----\n{key[:26]}\n{key[26:]}\n-----END PRIVATE KEY-----\n"
    nested_key_file = {"type": "service_account", "list": [{"private_key": armoured}], "port": 1}
    for secret in (armoured, json.dumps(nested_key_file)):
        mask = value_mask([secret.encode()])
        assert f"service_account: {MASK}" == masked_text(f"service_account: {key}", mask)
        assert "-----BEGIN PRIVATE KEY-----" == masked_text("-----BEGIN PRIVATE KEY-----", mask)
    assert MASK == masked_text("{no json, but long", value_mask([b"{no json, but long"]))


def test_masks_are_not_masked_again() -> None:
    """Without secrets a text is unchanged, and a mask in a text is not masked again."""
    assert b"text" == value_mask([])(b"text")
    assert MASK == masked_text(MASK, value_mask([PLAIN.encode()]))
    assert f"{MASK}{MASK}" == masked_text(f"{PLAIN}{PLAIN}", value_mask([PLAIN.encode()]))


def test_many_short_words_are_masked() -> None:
    """Each of many short secrets is masked at any position in the text."""
    words = [f"w{number}".encode() for number in range(100, 200)]
    mask = value_mask([], words)
    for padding in range(8):
        assert f"{' ' * padding}{MASK} w99 {MASK}." == masked_text(
            f"{' ' * padding}w150 w99 w199.", mask
        )
    assert b"w99" == mask(b"w99")


def test_secrets_with_a_common_part_are_masked_to_their_ends() -> None:
    """Secrets with the same beginning, end or middle are each masked completely."""
    secrets = [
        f"{before}tenant01{after}".encode()
        for before in ("", "a", "key-of-", "other-key-of-")
        for after in ("", "_z", "-0001-eu", "-0002-eu", "/and/much/more")
    ]
    mask = value_mask(secrets)
    for secret in secrets:
        assert f"<{MASK}>".encode() == mask(b"<" + secret + b">")


def test_text_that_is_made_to_be_slow_to_search_is_masked_like_any_other() -> None:
    """A text that is made to be slow to search is masked like any other."""
    mask = value_mask([b"ab" * 500, PLAIN.encode()])
    for text in (b"ab" * 8192, b"%" * 16_384, b"\\" * 16_384, b"&#" * 8192):
        assert mask(text + PLAIN.encode()).endswith(MASK.encode())


class TwoFieldTuple(NamedTuple):
    """A named tuple of two fields."""

    first: str
    second: object


def test_values_that_are_not_strings_stay_unchanged() -> None:
    """Strings are masked in every kind of container, and other values stay unchanged."""
    mask = value_mask([PLAIN.encode()])
    options = [
        TwoFieldTuple(PLAIN, {PLAIN: 1}),
        (PLAIN.encode(), 1.5),
        {PLAIN},
        frozenset({PLAIN}),
        None,
    ]

    assert [
        TwoFieldTuple(MASK, {MASK: 1}),
        (MASK.encode(), 1.5),
        {MASK},
        frozenset({MASK}),
        None,
    ] == masked_value(options, mask)
    assert isinstance(masked_value(options, mask)[0], TwoFieldTuple)
