"""Each chat vendor passes the conformance kit, synchronously and asynchronously."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import pytest

from moorage.contracts.chat import ChatMessage
from moorage.contracts.routes import Account
from moorage.hub.hub import Hub
from moorage.testing import chat_conformance, name_of
from tests.vendors.chat_subjects import SUBJECTS

if TYPE_CHECKING:
    from moorage.testing.kits.chat_conformance import AsyncCheck, Check, Factory


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", chat_conformance.CHECKS, ids=name_of)
def test_chat_vendor_conforms(check: Check, subject: Factory) -> None:
    """Each chat vendor passes the conformance kit with a synchronous hub."""
    check(subject)


@pytest.mark.untraced
@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", chat_conformance.ASYNC_CHECKS, ids=name_of)
def test_chat_vendor_conforms_async(check: AsyncCheck, subject: Factory) -> None:
    """Each chat vendor passes the conformance kit with an asynchronous hub."""
    asyncio.run(check(subject))


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
def test_vendor_is_reached_over_a_socket(subject: Factory) -> None:
    """A message is posted over a real connection, only once for its idempotency key."""
    new_subject = subject()
    vendor: Any = new_subject.vendor
    with new_subject.sandbox.serving() as server:
        if hasattr(vendor, "base_url"):
            base_url = f"{server.url}{urlsplit(vendor.base_url).path}"
            account = Account("chats", attrs.evolve(vendor, base_url=base_url))
        else:
            account = Account("chats", vendor, settings={"base_url": server.url})
        with Hub([account]) as hub:
            message = ChatMessage(text="Grüße & <more>")
            receipts = [hub.chat().send(message, idempotency_key="k-1") for _ in range(2)]

    assert receipts[0] == receipts[1]
    assert ["Grüße & <more>"] == [shown.text for shown in new_subject.sandbox.shown()]
