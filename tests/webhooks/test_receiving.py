"""Webhook bodies read from WSGI and ASGI servers, up to a limit."""

from __future__ import annotations

import asyncio
import io
import tracemalloc
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

import pytest

from moorage import WebhookRejected
from moorage.hub.receiving import LIMIT, from_asgi, from_wsgi
from tests.webhooks.senders import BY_NAME
from tests.webhooks.verifiers import NOW, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.webhooks.signing import SentWebhook

SENT_WEBHOOK = BY_NAME["twilio"].send(NOW, 7)


class TricklingStream(io.RawIOBase):
    """An input stream that returns a few bytes at a time and can fail at its end."""

    def __init__(self, body: bytes, error: OSError | None = None) -> None:
        self._rest = body
        self._error = error
        self.read_so_far = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, seven at most."""
        piece, self._rest = self._rest[: min(size, 7)], self._rest[min(size, 7) :]
        self.read_so_far += len(piece)
        if not piece and self._error is not None:
            raise self._error
        return piece


def environ(
    source: object = None, *, sent: SentWebhook = SENT_WEBHOOK, **more: Any
) -> dict[str, Any]:
    """Return the environment that a WSGI server passes."""
    fields: dict[str, Any] = {"HTTP_HOST": "shop.example", "wsgi.url_scheme": "https"}
    setup_testing_defaults(fields)
    path, _, query = sent.url.removeprefix("https://shop.example").partition("?")
    fields |= {
        "REQUEST_METHOD": sent.method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": sent.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(sent.body)),
        "wsgi.input": source or TricklingStream(sent.body),
    }
    fields |= {
        "HTTP_" + name.upper().replace("-", "_"): value for name, value in sent.headers.items()
    }
    return fields | more


def reason_of_refusal(take: Callable[[], object]) -> str | None:
    """Return the reason for which a webhook request is refused."""
    with pytest.raises(WebhookRejected) as excinfo:
        take()
    return excinfo.value.reason


def test_webhook_from_wsgi() -> None:
    """A webhook from a WSGI server is verified, URL included."""
    assert Receiver.of(BY_NAME["twilio"]).verify({**from_wsgi(environ())})
    other_webhook = from_wsgi(
        environ(HTTP_HOST="", SERVER_NAME="a", SERVER_PORT="80", QUERY_STRING="")
    )
    assert "https://a:80/hooks" == other_webhook["url"]
    odd_webhook = from_wsgi(environ(PATH_INFO="/hööks x".encode().decode("latin-1")))
    assert "/h%C3%B6%C3%B6ks%20x?" in odd_webhook["url"]


def test_wsgi_without_a_length() -> None:
    """A WSGI body without a length is read up to the limit, if the server marks its end."""
    terminated_environ = environ(CONTENT_LENGTH="") | {"wsgi.input_terminated": True}
    assert SENT_WEBHOOK.body == from_wsgi(terminated_environ)["body"]
    assert b"" == from_wsgi(environ(CONTENT_LENGTH=None))["body"]
    source = TricklingStream(b"x" * 1_000)
    long_environ = environ(source, CONTENT_LENGTH=None) | {"wsgi.input_terminated": True}
    assert "too_large" == reason_of_refusal(lambda: from_wsgi(long_environ, limit=20))
    assert 21 == source.read_so_far


@pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 30])
def test_announced_oversized_body_is_not_read(length: str) -> None:
    """A WSGI body whose declared length exceeds the limit is not read."""
    source = TricklingStream(b"x" * 100)
    value = environ(source, CONTENT_LENGTH=length)

    assert "too_large" == reason_of_refusal(lambda: from_wsgi(value))
    assert 0 == source.read_so_far


@pytest.mark.parametrize("length", ["-1", "1e3", "\uff11", "x", "1,1"])
def test_wsgi_request_with_invalid_content_length_is_refused(length: str) -> None:
    """A WSGI request with an invalid Content-Length is refused."""
    assert "malformed" == reason_of_refusal(lambda: from_wsgi(environ(CONTENT_LENGTH=length)))


def test_wsgi_body_that_is_shorter_than_its_content_length_is_refused() -> None:
    """A WSGI body that is shorter than its Content-Length is refused."""
    short_environ = environ(TricklingStream(SENT_WEBHOOK.body[:-3]))
    assert "malformed" == reason_of_refusal(lambda: from_wsgi(short_environ))
    broken_environ = environ(TricklingStream(SENT_WEBHOOK.body[:9], OSError("reset")))
    assert "malformed" == reason_of_refusal(lambda: from_wsgi(broken_environ))


def scope(sent: SentWebhook = SENT_WEBHOOK, **more: Any) -> dict[str, Any]:
    """Return the scope that an ASGI server passes."""
    path, _, query = sent.url.removeprefix("https://shop.example").partition("?")
    headers = {"Host": "shop.example", "Content-Length": str(len(sent.body)), **sent.headers}
    return {
        "type": "http",
        "method": sent.method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "server": ("127.0.0.1", 8000),
    } | more


def messages(*bodies: bytes | None) -> Callable[[], Any]:
    """Return an ASGI `receive` function that gives the given pieces; None means a disconnect."""
    remaining_chunks = list(bodies)

    async def receive() -> Mapping[str, Any]:
        await asyncio.sleep(0)
        piece = remaining_chunks.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(remaining_chunks)}

    return receive


def test_webhook_in_several_asgi_messages_is_verified() -> None:
    """A webhook whose body arrives in several ASGI messages is verified."""
    pieces = messages(SENT_WEBHOOK.body[:5], SENT_WEBHOOK.body[5:])
    taken_webhook = asyncio.run(from_asgi(scope(), pieces))
    assert Receiver.of(BY_NAME["twilio"]).verify({**taken_webhook})

    bare_scope = scope(headers=[], query_string=b"", raw_path=None, path="/a b")
    assert (
        "https://127.0.0.1:8000/a%20b" == asyncio.run(from_asgi(bare_scope, messages(b"x")))["url"]
    )


def test_asgi_is_bounded_too() -> None:
    """An ASGI body that is too long, cut off or abandoned is refused, and reading stops."""
    big = list((b"x" * 15,) * 3)
    unsaid = scope(headers=[])
    assert "too_large" == reason_of_refusal(
        lambda: asyncio.run(from_asgi(unsaid, messages(*big), limit=20))
    )
    assert "too_large" == reason_of_refusal(
        lambda: asyncio.run(from_asgi(scope(), messages(), limit=20))
    )
    assert "malformed" == reason_of_refusal(lambda: asyncio.run(from_asgi(scope(), messages(b"x"))))
    assert "malformed" == reason_of_refusal(
        lambda: asyncio.run(from_asgi(scope(), messages(b"x", None)))
    )


def test_asgi_body_in_tiny_pieces_needs_no_more_memory_than_its_size() -> None:
    """A body that arrives two bytes at a time takes about as much memory as in one piece."""
    pieces = iter(range(20_000, -1, -1))

    async def receive() -> Mapping[str, Any]:
        unread_piece = next(pieces)
        return {
            "type": "http.request",
            "body": unread_piece.to_bytes(2, "big"),
            "more_body": unread_piece > 0,
        }

    tracemalloc.start()
    try:
        webhook = asyncio.run(from_asgi(scope(headers=[]), receive))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 40_002 == len(webhook["body"])
    assert peak < 400_000
