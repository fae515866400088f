"""Secrets in a stream are masked, in each encoding and wherever the stream is split."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256
from html import escape
from itertools import pairwise
from time import process_time
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.secrets.stream_mask import StreamMask
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = b"tok_9f8e7d6c5b4a39281706"
UNUSUAL_SECRET = 'pä$$/w"ö r\\d+<&>%41=x'.encode()
PEM = (
    b"-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n"
)
SHORT = b"x7Kq"


def mask_stream(secrets: list[bytes], *parts: bytes) -> bytes:
    """Return the masked stream that results from writing these parts one after another."""
    mask = StreamMask(secrets)
    return b"".join([*(mask.feed(part) for part in parts), mask.finish()])


def printed_encodings(secret: bytes) -> dict[str, bytes]:
    """Return the secret in each encoding in which a program may print it."""
    text = secret.decode()
    written_form = {
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
        written_form[f"base64 at {before}"] = b64encode(around)
        written_form[f"base64url at {before}"] = urlsafe_b64encode(around)
    return written_form


@pytest.mark.untraced
@pytest.mark.parametrize("secret", [TOKEN, UNUSUAL_SECRET], ids=["token", "odd"])
@pytest.mark.parametrize("form", sorted(printed_encodings(TOKEN)))
def test_no_form_leaks_at_any_split(secret: bytes, form: str) -> None:
    """A secret in any encoding is masked wherever the stream is split in two."""
    written_form = printed_encodings(secret)[form]
    stream = b"before " + written_form + b" after\n"
    expected = mask_stream([secret], stream)

    assert expected.startswith(b"before ")
    assert expected.endswith(b" after\n")
    assert b"***" in expected
    for length in range(4, len(written_form) - 8):
        assert written_form[4 : 4 + length] not in expected or length < 6
    for cut in range(len(stream) + 1):
        assert expected == mask_stream([secret], stream[:cut], stream[cut:])


@pytest.mark.untraced
@pytest.mark.parametrize("form", ["plain", "base64 at 0", "hex", "url"])
def test_secret_broken_by_a_line_break_is_masked(form: str) -> None:
    """A secret that spans two lines is masked, and both line ends remain."""
    written_form = printed_encodings(TOKEN)[form]
    for end in (b"\n", b"\r\n"):
        for cut in range(1, len(written_form)):
            stream = b"a " + written_form[:cut] + end + written_form[cut:] + b" b\n"
            for split in range(len(stream) + 1):
                masked_stream = mask_stream([TOKEN], stream[:split], stream[split:])
                assert 2 == masked_stream.count(b"\n")
                assert b"b\n" == masked_stream[-2:]
                half = max(written_form[:cut], written_form[cut:], key=len)
                assert half not in masked_stream


def test_folded_secret_is_masked() -> None:
    """A secret that is folded into many short lines is masked too."""
    written_form = b64encode(TOKEN)
    folded = b"\n".join(
        written_form[offset : offset + 4] for offset in range(0, len(written_form), 4)
    )

    assert b"***" + b"\n" * folded.count(b"\n") + b"\n" == mask_stream([TOKEN], folded + b"\n")


def test_lines_of_a_key_file_are_masked() -> None:
    """Each long line of a multi-line secret is masked, even if it is printed alone."""
    masked_stream = mask_stream(
        [PEM], b"key: MIIEvQIBADANBgkqhkiG9w0B and AQEFAASCBKcwggSjAgEAAoIB\n"
    )

    assert b"key: *** and ***\n" == masked_stream
    assert b"***" + b"\n" * 4 == mask_stream([PEM], PEM)


def test_secret_of_four_characters_is_masked() -> None:
    """A secret of four characters is masked; a secret of three is not searched for."""
    assert b"a *** b" == mask_stream([SHORT], b"a x7", b"Kq b")
    assert b"abc" == mask_stream([b"abc"], b"abc")


@pytest.mark.parametrize("size", [7, 10, 14, 15, 22, 23, 38, 39, 60])
def test_secret_is_found_at_every_position_of_text(size: int) -> None:
    """A secret is found at every position of a text, whatever its length."""
    secret = (b"Zq4_" * 20)[: size - 1] + b"9"
    for offset in range(80):
        text = b"." * offset + secret + b"." * 7

        assert b"." * offset + b"***" + b"." * 7 == mask_stream([secret], text)


def test_line_without_a_beginning_of_a_secret_is_written_at_once() -> None:
    """A line that contains no beginning of a secret is written at once."""
    mask = StreamMask([TOKEN, UNUSUAL_SECRET, SHORT])

    assert b"ready\n" == mask.feed(b"ready\n")
    assert b"tok\n" == mask.feed(b"tok\n")
    assert b"wait " == mask.feed(b"wait tok_9")
    assert b"tok_9!\n" == mask.feed(b"!\n")


def test_output_is_withheld_while_its_end_may_begin_a_secret() -> None:
    """Output is withheld as long as its end may be the beginning of a secret."""
    mask = StreamMask([b"alpha-7788-omega", b"omega-9911-kappa"])
    assert b"x " == mask.feed(b"x alpha-7788-omega")
    assert b"*** y" == mask.feed(b" y") + mask.finish()


def test_without_secrets_stream_is_unchanged() -> None:
    """Without secrets the stream is unchanged."""
    assert b"a\xff\x00\r\nb" == mask_stream([], b"a\xff\x00\r", b"\nb")


def test_binary_secret_in_a_binary_stream_is_masked() -> None:
    """A binary secret in a binary stream is masked."""
    secret = bytes(range(128, 160))

    assert b"\xff\xfe***\x00" == mask_stream(
        [secret], b"\xff\xfe" + secret[:9], secret[9:] + b"\x00"
    )


def test_many_secrets_in_a_large_stream_are_masked() -> None:
    """Fifty secrets in a stream of megabytes are masked, and nothing else is."""
    secrets = [f"secret-{number:04d}-{number * 7919:08x}".encode() for number in range(50)]
    line = b"2030-01-01 INFO request id=6f1a2b3c took 12.5 ms\n"
    parts = [line * 900 + secret + b"\n" for secret in secrets]

    masked_stream = mask_stream(secrets, *parts)

    assert (line * 900 + b"***\n") * 50 == masked_stream


def test_fifty_secrets_cost_no_more_than_a_search_for_each() -> None:
    """Masking fifty secrets in all their forms is about as fast as fifty plain searches."""
    secrets = [sha256(b"%d" % number).hexdigest()[:32].encode() for number in range(50)]
    part = b"2030-01-01T00:00:00Z INFO request id=6f1a2b3c took 12.5 ms for user 4711\n" * 14_000
    mask = StreamMask(secrets)

    def search() -> None:
        for secret in secrets:
            assert -1 == part.find(secret)

    def seconds(work: Callable[[], object]) -> float:
        start_time = process_time()
        work()
        return process_time() - start_time

    masking = min(seconds(lambda: mask.feed(part)) for _ in range(7))
    control = min(seconds(search) for _ in range(7))

    assert masking < 4 * control


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
def test_masked_stream_does_not_depend_on_its_division(data: list[bytes], cuts: list[int]) -> None:
    """The masked stream does not depend on how the stream is split."""
    stream = b"".join(data)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    parts = [stream[first:last] for first, last in pairwise(places)]
    masked_stream = mask_stream([TOKEN, SHORT], *parts)

    assert TOKEN not in masked_stream
    assert stream.count(b"\n") == masked_stream.count(b"\n")
    masked_whole = mask_stream([TOKEN, SHORT], stream)
    assert masked_whole.replace(b"\r", b"").count(b"***") == masked_stream.replace(
        b"\r", b""
    ).count(b"***")
