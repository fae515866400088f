"""Secrets in a stream are masked, however the stream is cut and the secret is written."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from html import escape
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.secrets.stream_mask import StreamMask
from tests.support.examples import examples

TOKEN = b"tok_9f8e7d6c5b4a39281706"
ODD = 'pä$$/w"ö r\\d+<&>%41=x'.encode()
PEM = (
    b"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n"
)
SHORT = b"x7Kq"


def masked(secrets: list[bytes], *parts: bytes) -> bytes:
    """Return a stream of some parts, masked."""
    mask = StreamMask(secrets)
    return b"".join([*(mask.feed(part) for part in parts), mask.finish()])


def forms(secret: bytes) -> dict[str, bytes]:
    """Return the ways in which a program may print a secret, between other text."""
    text = secret.decode()
    written = {
        "plain": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "url": quote(text, safe="").encode(),
        "url path": quote(text).encode(),
        "form": quote_plus(text).encode(),
        "json": json.dumps(text)[1:-1].encode(),
        "json utf-8": json.dumps(text, ensure_ascii=False)[1:-1].encode(),
        "json slashes": json.dumps(text)[1:-1].replace("/", "\\/").encode(),
        "html": escape(text).encode(),
        "url of all": "".join(f"%{byte:02X}" for byte in secret).encode(),
        "bytes": "".join(f"\\x{byte:02x}" for byte in secret).encode(),
    }
    for before in range(3):
        around = b"u:"[:before] + b"?" * max(0, before - 2) + secret + b"!!"
        written[f"base64 at {before}"] = b64encode(around)
        written[f"base64url at {before}"] = urlsafe_b64encode(around)
    return written


@pytest.mark.untraced
@pytest.mark.parametrize("secret", [TOKEN, ODD], ids=["token", "odd"])
@pytest.mark.parametrize("form", sorted(forms(TOKEN)))
def test_no_form_leaks_at_any_split(secret: bytes, form: str) -> None:
    """Each form is masked wherever the stream is cut in two, and the rest stays."""
    written = forms(secret)[form]
    stream = b"before " + written + b" after\n"
    expected = masked([secret], stream)

    assert expected.startswith(b"before ")
    assert expected.endswith(b" after\n")
    assert b"***" in expected
    for length in range(4, len(written) - 8):
        assert written[4 : 4 + length] not in expected or length < 6
    for cut in range(len(stream) + 1):
        assert expected == masked([secret], stream[:cut], stream[cut:])


@pytest.mark.untraced
@pytest.mark.parametrize("form", ["plain", "base64 at 0", "hex", "url"])
def test_no_form_leaks_at_any_line_break(form: str) -> None:
    """A form that is broken over two lines is masked, and both lines stay lines."""
    written = forms(TOKEN)[form]
    for end in (b"\n", b"\r\n"):
        for cut in range(1, len(written)):
            stream = b"a " + written[:cut] + end + written[cut:] + b" b\n"
            for split in range(len(stream) + 1):
                shown = masked([TOKEN], stream[:split], stream[split:])
                assert 2 == shown.count(b"\n")
                assert b"b\n" == shown[-2:]
                half = max(written[:cut], written[cut:], key=len)
                assert half not in shown


def test_folded_secret_is_masked() -> None:
    """A form that is folded into many short lines is masked too."""
    written = b64encode(TOKEN)
    folded = b"\n".join(written[at : at + 4] for at in range(0, len(written), 4))

    assert b"***" + b"\n" * folded.count(b"\n") + b"\n" == masked([TOKEN], folded + b"\n")


def test_lines_of_a_key_file_are_masked() -> None:
    """Of a secret with several lines, each long line is masked, even if it is printed alone."""
    shown = masked([PEM], b"key: MIIEvQIBADANBgkqhkiG9w0B and AQEFAASCBKcwggSjAgEAAoIB\n")

    assert b"key: *** and ***\n" == shown
    assert b"***" + b"\n" * 4 == masked([PEM], PEM)


def test_short_secrets() -> None:
    """A secret of four characters is masked; one of three is not looked for."""
    assert b"a *** b" == masked([SHORT], b"a x7", b"Kq b")
    assert b"abc" == masked([b"abc"], b"abc")


@pytest.mark.parametrize("size", [7, 10, 14, 15, 22, 23, 38, 39, 60])
def test_secrets_of_each_length_are_found_everywhere(size: int) -> None:
    """A secret is found at every position of a text, whatever its length."""
    secret = (b"Zq4_" * 20)[: size - 1] + b"9"
    for at in range(80):
        text = b"." * at + secret + b"." * 7

        assert b"." * at + b"***" + b"." * 7 == masked([secret], text)


def test_lines_appear_at_once() -> None:
    """A line without the beginning of a secret is shown before more arrives."""
    mask = StreamMask([TOKEN, ODD, SHORT])

    assert b"ready\n" == mask.feed(b"ready\n")
    assert b"tok\n" == mask.feed(b"tok\n")
    assert b"wait " == mask.feed(b"wait tok_9")
    assert b"tok_9!\n" == mask.feed(b"!\n")


def test_secret_whose_end_may_begin_another_is_held_back() -> None:
    """A secret is masked when it is clear that no other one begins inside it."""
    mask = StreamMask([b"alpha-7788-omega", b"omega-9911-kappa"])
    assert b"x " == mask.feed(b"x alpha-7788-omega")
    assert b"*** y" == mask.feed(b" y") + mask.finish()


def test_no_secrets() -> None:
    """Without secrets the stream is unchanged."""
    assert b"a\xff\x00\r\nb" == masked([], b"a\xff\x00\r", b"\nb")


def test_binary_secret_and_text() -> None:
    """A secret that is not a text is masked in a stream that is none."""
    secret = bytes(range(128, 160))

    assert b"\xff\xfe***\x00" == masked([secret], b"\xff\xfe" + secret[:9], secret[9:] + b"\x00")


def test_many_secrets_in_a_large_stream() -> None:
    """Of many secrets in a stream of megabytes, none is shown, and the rest stays."""
    secrets = [f"secret-{number:04d}-{number * 7919:08x}".encode() for number in range(50)]
    line = b"2030-01-01 INFO request id=6f1a2b3c took 12.5 ms\n"
    parts = [line * 900 + secret + b"\n" for secret in secrets]

    shown = masked(secrets, *parts)

    assert (line * 900 + b"***\n") * 50 == shown


@given(
    data=st.lists(
        st.sampled_from(
            [TOKEN, TOKEN[:9], TOKEN[9:], b64encode(TOKEN), b"\n", b"\r\n", b" ", b"x7"]
        ),
        max_size=12,
    ),
    cuts=st.lists(st.integers(0, 200), max_size=5),
)
@examples(200)
def test_cuts_change_nothing(data: list[bytes], cuts: list[int]) -> None:
    """Whatever a stream consists of, its parts do not change what is shown."""
    stream = b"".join(data)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    parts = [stream[first:last] for first, last in pairwise(places)]
    shown = masked([TOKEN, SHORT], *parts)

    assert TOKEN not in shown
    assert stream.count(b"\n") == shown.count(b"\n")
    whole = masked([TOKEN, SHORT], stream)
    assert whole.replace(b"\r", b"").count(b"***") == shown.replace(b"\r", b"").count(b"***")
