"""A Flask application behind an ASGI server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.embedding.flask.test_webhooks import charge

if TYPE_CHECKING:
    from tests.embedding.flask.shop import Shop


def test_webhook_over_asgi_is_verified_byte_by_byte_and_stored(shop: Shop) -> None:
    """A webhook over ASGI is verified byte by byte and stored."""
    wsgi = pytest.importorskip("asgiref.wsgi")
    testing = pytest.importorskip("asgiref.testing")
    payment = charge(shop)
    notice = shop.sandbox.sent[-1]
    headers = {**notice.headers, "host": "localhost", "content-length": str(len(notice.body))}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": notice.method,
        "scheme": "http",
        "path": urlsplit(notice.url).path,
        "query_string": b"",
        "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
        "server": ("localhost", 80),
    }

    async def deliver() -> int:
        application = testing.ApplicationCommunicator(wsgi.WsgiToAsgi(shop.app), scope)
        await application.send_input({"type": "http.request", "body": notice.body})
        answer = await application.receive_output(timeout=120)
        await application.wait(timeout=120)
        status: int = answer["status"]
        return status

    assert 200 == asyncio.run(deliver())
    shop.moorage.inbox.handle()
    assert [payment] == [event.ref.id for event in shop.news]
