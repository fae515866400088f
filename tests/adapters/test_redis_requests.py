"""Encoding of requests to Redis, compared with redis-py and hiredis."""

from __future__ import annotations

from typing import Any

import hiredis
import redis.connection
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.adapters.state._redis_wire import (
    DIGEST,
    SCRIPT,
    ScriptCall,
    arguments,
    request,
    with_script,
)

# Bytes that could be mistaken for parts of the Redis protocol.
BINARY = st.binary(max_size=40) | st.lists(
    st.sampled_from((b"\r\n", b"$", b"*", b"-1", b"0", b"EVALSHA", DIGEST, b"\0", b"\xff", b"+OK")),
    max_size=6,
).map(b"".join)
CALLS = st.builds(
    lambda keys, packed: ScriptCall(tuple(keys), packed, list, once=False),
    st.lists(BINARY, max_size=4, unique=True),
    BINARY | st.binary(min_size=1_000, max_size=9_000),
)


@st.composite
def batches(draw: st.DrawFn) -> list[ScriptCall]:
    """Draw a batch of script calls, some of them repeated."""
    calls = draw(st.lists(CALLS, min_size=1, max_size=4))
    return draw(st.lists(st.sampled_from(calls), min_size=1, max_size=8))


def parts_of(verb: bytes, script: bytes, batch: list[ScriptCall]) -> list[bytes]:
    """Return the parts of the request that calls a script for a batch."""
    keys, values = arguments(batch)
    return [verb, script, b"%d" % len(keys), *keys, *values]


def read_by_hiredis(packed: bytes) -> Any:
    """Return the value that hiredis (Redis's own client library) parses from these bytes."""
    reader = hiredis.Reader()
    reader.feed(packed)
    value = reader.gets()
    assert reader.gets() is False, "the bytes have more than one value"
    return value


@given(batches())
@example([ScriptCall((), b"", list, once=False)])
def test_batch_is_encoded_as_redis_py_does(batch: list[ScriptCall]) -> None:
    """A batch is encoded to the same bytes as by redis-py, and hiredis can parse it."""
    parts = parts_of(b"EVALSHA", DIGEST, batch)
    untyped_connection: Any = redis.connection
    encode = untyped_connection.Encoder("utf-8", "strict", decode_responses=False).encode
    pack: Any = hiredis.pack_command
    packed_bytes = request(batch)

    assert pack(tuple(parts)) == packed_bytes
    assert (
        b"".join(untyped_connection.PythonRespSerializer(6_000, encode).pack(*parts))
        == packed_bytes
    )
    assert parts == read_by_hiredis(packed_bytes)


@given(batches())
def test_requests_with_the_script_differ_only_in_it(batch: list[ScriptCall]) -> None:
    """A request for a server that lacks the script contains the script.

    All other arguments are the same.
    """
    packed_bytes = with_script(request(batch))

    assert parts_of(b"EVAL", SCRIPT, batch) == read_by_hiredis(packed_bytes)


@given(batches())
def test_every_call_of_a_batch_is_sent(batch: list[ScriptCall]) -> None:
    """The encoded arguments contain each call's keys, and how often the call is repeated."""
    keys, values = arguments(batch)
    sent_calls: list[tuple[tuple[bytes, ...], bytes]] = []
    for positions, times, packed_bytes in zip(
        values[1::3], values[2::3], values[3::3], strict=True
    ):
        numbers = [
            int.from_bytes(positions[offset : offset + 2])
            for offset in range(0, len(positions) // 2 * 2, 2)
        ]
        named_chunks = tuple(keys[number - 1] for number in numbers) if positions else tuple(keys)
        sent_calls += [(named_chunks, packed_bytes)] * int(times)

    assert [(call.keys, call.packed) for call in batch] == sent_calls
