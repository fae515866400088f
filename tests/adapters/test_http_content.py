"""Decompression of response bodies, in chunks of limited size."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.http.messages._content import decompressor_for
from moorage.adapters.http.messages._http1 import NotHttp
from moorage.domain.http.requests import Headers

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE = bytes(300_000) + bytes(range(256)) * 300


def deflate_without_header(data: bytes) -> bytes:
    """Compress with deflate and no header, as some vendors do."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def inflate(coding: str, *pieces: bytes) -> bytes:
    """Return the decompressed content of chunks that use this content coding."""
    decompressor = decompressor_for(Headers({"Content-Encoding": coding}))
    assert decompressor is not None
    content: list[bytes] = []
    for piece in pieces:
        decompressor.feed(piece)
        while some_bytes := decompressor.take():
            assert len(some_bytes) <= 65_536
            content.append(some_bytes)
    decompressor.end()
    return b"".join(content)


@pytest.mark.parametrize("content", [b"", b"x", b"some content", LARGE])
@pytest.mark.parametrize(
    "coding, compress",
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("Deflate", deflate_without_header),
        ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        ("gzip", lambda data: gzip.compress(data) + bytes(9)),
        ("gzip", lambda data: gzip.compress(data) + bytes(9) + gzip.compress(b"")),
        ("deflate", lambda data: zlib.compress(data) + bytes(9)),
        ("gzip, gzip", lambda data: gzip.compress(gzip.compress(data))),
        ("deflate, identity, gzip", lambda data: gzip.compress(zlib.compress(data))),
        ("gzip, deflate", lambda data: deflate_without_header(gzip.compress(data))),
        ("gzip, gzip, gzip", lambda data: gzip.compress(gzip.compress(gzip.compress(data)))),
    ],
)
def test_bodies_are_decompressed(
    coding: str, compress: Callable[[bytes], bytes], content: bytes
) -> None:
    """Each content coding that vendors use is decompressed, whole or byte by byte."""
    packed_bytes = compress(content)

    assert content == inflate(coding, packed_bytes)
    assert content == inflate(coding, *(bytes([byte]) for byte in packed_bytes))


def test_two_content_encoding_headers_count_as_one_list() -> None:
    """Two Content-Encoding headers count as one list, and the last coding is decoded first."""
    repeated_headers = Headers([("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")])
    decompressor = decompressor_for(repeated_headers)
    assert decompressor is not None
    decompressor.feed(gzip.compress(gzip.compress(b"content")))

    assert b"content" == decompressor.take()


def test_empty_body_needs_no_compressed_form() -> None:
    """An empty body is accepted under any content coding."""
    assert b"" == inflate("gzip")
    assert b"" == inflate("deflate", b"")


@given(
    st.lists(st.binary(max_size=9) | st.sampled_from([bytes(70_000), LARGE]), max_size=3),
    st.lists(st.integers(0, 500), max_size=6),
    st.sampled_from(["gzip", "deflate", "bare"]),
)
def test_decompression_in_any_chunks(contents: list[bytes], places: list[int], form: str) -> None:
    """Compressed bytes are decompressed to the same content for any division into chunks."""
    content = b"".join(contents)
    forms: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "bare": deflate_without_header,
    }
    packed_bytes = forms[form](content)
    edges = [0, *sorted({place % (len(packed_bytes) + 1) for place in places}), len(packed_bytes)]
    pieces = [packed_bytes[start:end] for start, end in pairwise(edges)]

    assert content == inflate("gzip" if form == "gzip" else "deflate", *pieces)


@pytest.mark.parametrize(
    "coding, packed, words",
    [
        ("gzip", b"plain text", "malformed"),
        ("gzip, gzip", gzip.compress(b"plain text"), "malformed"),
        ("gzip, gzip", gzip.compress(gzip.compress(LARGE)[:-9]), "truncated"),
        ("deflate", b"plain text", "malformed"),
        ("gzip", zlib.compress(b"x"), "malformed"),
        ("gzip", gzip.compress(LARGE)[:-9], "truncated"),
        ("gzip", gzip.compress(b"x")[:5], "truncated"),
        ("deflate", b"x", "truncated"),
        ("gzip", gzip.compress(b"x")[:-8] + bytes(8), "malformed"),
        ("gzip", gzip.compress(b"x") + b"more", "malformed"),
        ("deflate", zlib.compress(b"x") + b"more", "extra bytes after"),
        ("deflate", zlib.compress(b"some content")[:-4] + b"more", "malformed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "bytes",
)
def test_corrupt_compression_is_refused(coding: str, packed: bytes, words: str) -> None:
    """A body that does not match its Content-Encoding is refused."""
    with pytest.raises(NotHttp, match=words):
        inflate(coding, packed)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("Content-Encoding", "identity")],
        [("Content-Encoding", "br")],
        [("Content-Encoding", "br, gzip")],
        [("Content-Encoding", "gzip"), ("Content-Encoding", "br")],
        [("Content-Encoding", "gzip, gzip, gzip, gzip")],
        [("Content-Encoding", ", ")],
    ],
)
def test_body_with_unknown_content_encoding_is_returned_unchanged(
    fields: list[tuple[str, str]],
) -> None:
    """A body with an unknown Content-Encoding is returned unchanged."""
    assert decompressor_for(Headers(fields)) is None
