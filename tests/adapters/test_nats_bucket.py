"""Errors of the NATS bucket that stores idempotency claims, each with a remedy."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from json import dumps
from time import monotonic, monotonic_ns
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectionFailed, StorageUnavailable
from moorage.adapters.state._nats_bucket import Bucket
from moorage.adapters.state._nats_wire import (
    FULL,
    NO_MESSAGE,
    NO_STREAM,
    Refused,
    ServerClock,
    read_reply,
    read_stored,
)
from moorage.domain.messages.publish_failures import PublishFault

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class ScriptedServer:
    """A fake NATS server with scripted replies, and the settings of its clients."""

    api = "$JS.API"

    def __init__(self, *replies: object) -> None:
        self.replies = deque(replies)

    def addresses(self) -> list[Any]:
        """Return the fake server's addresses."""
        return [SimpleNamespace(host="nats.example")]

    def async_links(self) -> ScriptedServer:
        """Return the connections to the fake server."""
        return self

    @asynccontextmanager
    async def link(self, _: str, __: float) -> AsyncGenerator[ScriptedServer]:
        """Yield a connection to the fake server."""
        yield self

    async def request(self, *_: object) -> object:
        """Return or raise the next scripted reply."""
        reply = self.replies.popleft()
        if isinstance(reply, Exception):
            raise reply
        return reply


def bucket(*replies: object) -> Bucket:
    """Return a bucket on a fake server that sends these replies."""
    settings: Any = ScriptedServer(*replies)
    return Bucket(settings, "keys", 1, ServerClock(monotonic_ns, step=1, every=1), creates=False)


def api_error(code: int) -> tuple[None, bytes]:
    """Return a JetStream reply that contains an error."""
    return None, dumps({"error": {"err_code": code, "description": "no"}}).encode()


@pytest.mark.parametrize(
    "reply, text",
    [
        (PublishFault.TOO_LARGE, "does not accept a state of this size"),
        (PublishFault.PERMISSION, "does not allow the user"),
        (PublishFault.TOPIC, "has no bucket 'keys'"),
        (PublishFault.UNSENT, "did not answer in time"),
        (api_error(NO_STREAM), "has no bucket 'keys'"),
        (api_error(next(iter(FULL))), "has no more space"),
        (api_error(10008), "has no leader for the bucket 'keys'"),
        (api_error(1), "code 1"),
        ((None, b"<html>"), "code 0"),
        (ConnectionFailed("The server is away."), "is away"),
    ],
)
def test_write_that_server_refuses_raises_error_with_reason_and_remedy(
    reply: object, text: str
) -> None:
    """A write that the server refuses raises an error with the reason and a remedy."""
    with pytest.raises(StorageUnavailable, match=text) as excinfo:
        asyncio.run(bucket(reply).write("$KV.keys.a", b"", 0, "m", monotonic() + 1))
    assert excinfo.value.remedy or reply.__class__ is ConnectionFailed


@pytest.mark.parametrize(
    "information, text",
    [
        ((None, b"{}"), "has no leader for the bucket 'keys'"),
        (api_error(10118), "has no leader for the bucket 'keys'"),
        (api_error(NO_STREAM), "has no bucket 'keys'"),
        (("503", b""), "has no JetStream"),
    ],
)
def test_write_that_no_server_takes_raises_error_with_its_reason(
    information: object, text: str
) -> None:
    """A bucket that waits for a new leader is not reported as one that must be restored."""
    with pytest.raises(StorageUnavailable, match=text) as excinfo:
        asyncio.run(
            bucket(("503", b""), information).write("$KV.keys.a", b"", 0, "m", monotonic() + 1)
        )
    assert excinfo.value.retryable


@pytest.mark.parametrize(
    "replies, text",
    [
        ((("503", b""),), "has no JetStream"),
        ((PublishFault.LOST, PublishFault.LOST), "did not answer in time"),
        ((PublishFault.LOST, api_error(1)), "code 1"),
    ],
)
def test_read_is_repeated_once_if_its_reply_is_lost(replies: tuple[object, ...], text: str) -> None:
    """A read is repeated once if its reply is lost, and raises an error if it is refused."""
    with pytest.raises(StorageUnavailable, match=text):
        asyncio.run(bucket(*replies).read("$KV.keys.a", monotonic() + 1))


def test_subject_without_message_is_read_as_none() -> None:
    """A subject without a message is read as None."""
    assert asyncio.run(bucket(api_error(NO_MESSAGE)).read("$KV.keys.a", monotonic() + 1)) is None


def test_bucket_that_cannot_be_inspected_is_not_used() -> None:
    """A bucket that cannot be inspected is not used."""
    with pytest.raises(StorageUnavailable, match="code 1"):
        asyncio.run(bucket(api_error(1)).prepare(monotonic() + 1))


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff"])
def test_a_foreign_reply_is_refused(data: bytes) -> None:
    """A reply that is not a JSON object raises an error without a code."""
    assert Refused(0, "a reply that is not an object") == read_reply(data)


def test_an_error_without_a_code_is_refused() -> None:
    """A JetStream error without its usual fields is raised with the code 0."""
    assert Refused(0, "") == read_reply(b'{"error": "no"}')


@pytest.mark.parametrize(
    "message",
    [
        None,
        {},
        {"message": None},
        {"message": {"seq": "1", "time": "2030-01-01T00:00:00Z", "subject": "a"}},
        {"message": {"seq": 1, "time": "yesterday", "subject": "a"}},
        {"message": {"seq": 1, "time": "2030-01-01T00:00:00Z", "subject": None}},
    ],
)
def test_reply_without_complete_message_of_bucket_is_refused(message: Any) -> None:
    """A reply without a complete message of the bucket is refused."""
    with pytest.raises(StorageUnavailable, match="not a message of the bucket"):
        read_stored(message)
