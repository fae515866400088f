"""A database that never replies does not delay storing and delivering entries beyond a deadline."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncHub,
    AsyncOutbox,
    AsyncWebhookInbox,
    Hub,
    Outbox,
    Request,
    StorageUnavailable,
    WebhookInbox,
)
from moorage.wiring.store_urls import aopen_inbox, aopen_outbox, open_inbox, open_outbox
from tests.entries.shop import Shop
from tests.integration.test_silent import STORE_PATIENCE, URLS, silent_server

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["silent_server"]

SHORT = 0.3
"""Seconds that a caller has."""
ASK = Request.post("/orders", json=1)
KINDS = ("postgresql", "mariadb", "sqlite")


@pytest.fixture(params=KINDS)
def url(
    request: pytest.FixtureRequest, silent_server: socket.socket, tmp_path: Path
) -> Iterator[str]:
    """Yield the URL of a database that never replies: a silent server, or a locked file."""
    if request.param != "sqlite":
        yield URLS[request.param].format(port=silent_server.getsockname()[1])
        silent_server.close()
        return
    file = f"sqlite:///{tmp_path / 'host.db'}"
    for opened_store in (open_inbox(file), open_outbox(file)):
        with opened_store as store:
            store.migrate()
            store.now()
    other_connection = sqlite3.connect(tmp_path / "host.db", isolation_level=None)
    other_connection.execute("BEGIN EXCLUSIVE")
    yield file
    other_connection.close()


def _delivery(shop: Shop) -> dict[str, Any]:
    notice = shop.webhook_of_payment()
    return {"headers": notice.headers, "body": notice.body}


def test_put_and_deliver_end_with_their_deadline(url: str) -> None:
    """If the database never replies, storing and delivering calls fail at their deadline."""
    outbox = Outbox(open_outbox(url, timeout=STORE_PATIENCE))
    for work in (
        lambda: outbox.put_request("shop", ASK, store_timeout=SHORT),
        lambda: outbox.deliver(Hub([]), timeout=SHORT),
        lambda: outbox.deliver(Hub([]), ids=["1"], timeout=SHORT),
    ):
        with pytest.raises(StorageUnavailable):
            work()


def test_receive_and_handle_end_with_their_deadline(url: str) -> None:
    """If the database never replies, a webhook's sender is told in time to send it again."""
    shop = Shop()
    inbox = WebhookInbox(shop.hub, open_inbox(url, timeout=STORE_PATIENCE))
    inbox.on("webhook")(lambda *_: None)

    assert inbox.answer("stripe", **_delivery(shop), timeout=SHORT).status == 503
    with pytest.raises(StorageUnavailable):
        inbox.receive("stripe", **_delivery(shop), timeout=SHORT)
    with pytest.raises(StorageUnavailable):
        inbox.handle(timeout=SHORT)


def test_async_outbox_and_inbox_end_with_their_deadline(url: str) -> None:
    """Asynchronous stores fail at their deadline and change nothing."""

    async def story() -> None:
        shop = Shop(is_async=True)
        outbox = AsyncOutbox(aopen_outbox(url, timeout=STORE_PATIENCE))
        inbox = AsyncWebhookInbox(shop.hub, aopen_inbox(url, timeout=STORE_PATIENCE))
        inbox.on("webhook")(lambda *_: None)
        async with AsyncHub([]) as hub:
            for work in (
                outbox.put_request("shop", ASK, store_timeout=SHORT),
                outbox.deliver(hub, timeout=SHORT),
                inbox.receive("stripe", **_delivery(shop), timeout=SHORT),
                inbox.handle(timeout=SHORT),
            ):
                with pytest.raises(StorageUnavailable):
                    await work

    asyncio.run(story())
